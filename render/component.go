package render

import (
	"strconv"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const gpuResource = "nvidia.com/gpu"

// frontend is the component that clients talk to.
func (a *assembly) frontend() object {
	args := []string{"-m", "dynamo.frontend"}
	if a.req.Spec.ModelCache != nil {
		args = append(args, "--model-name", a.req.Spec.Model, "--model-path", a.modelPath())
	}
	return component("Frontend", "frontend", object{
		"image":   a.image(),
		"command": list([]string{"python3"}),
		"args":    list(args),
		"envFrom": hfToken(),
	})
}

// worker is the component that runs a role's engines.
func (a *assembly) worker(role *profile.Role) (object, error) {
	nodes, perNode, err := a.split(role)
	if err != nil {
		return nil, err
	}
	args, err := a.args(role)
	if err != nil {
		return nil, err
	}
	gpus := strconv.Itoa(perNode)
	resources := object{"limits": object{gpuResource: gpus}}
	if a.pick.Mode == profile.Aggregated || a.engine.ephemeral {
		resources["requests"] = object{"ephemeral-storage": "2Gi", gpuResource: gpus}
	}
	c := component(a.engine.component(role.Name), string(role.Name), object{
		"image":      a.image(),
		"workingDir": a.engine.workingDir,
		"command":    list([]string{"python3", "-m", a.engine.module}),
		"args":       list(args),
		"resources":  resources,
		"envFrom":    hfToken(),
	})
	c["replicas"] = int64(role.Replicas)
	if nodes > 1 {
		c["multinode"] = object{"nodeCount": int64(nodes)}
	}
	return c, nil
}

// split spreads an engine over nodes: the GPU count of a component is per node.
func (a *assembly) split(role *profile.Role) (nodes, perNode int, err error) {
	gpus, node := role.GPUsPerEngine, a.req.Spec.Hardware.GPUsPerNode
	if gpus <= node {
		return 1, gpus, nil
	}
	if gpus%node != 0 {
		return 0, 0, a.problem("spec.hardware.numGpusPerNode",
			"a %s engine takes %d GPUs, which does not fill nodes of %d", role.Name, gpus, node)
	}
	return gpus / node, node, nil
}

// image is the engine's image, which also holds the frontend.
func (a *assembly) image() string {
	return profile.RuntimeImage(a.req.Spec.Image, a.pick.Backend)
}

// component is a component of one replica whose pod has the one container that
// Dynamo's webhook asks for.
func component(name, kind string, container object) object {
	container["name"] = "main"
	return object{
		"name":        name,
		"type":        kind,
		"replicas":    int64(1),
		"podTemplate": object{"spec": object{"containers": []any{container}}},
	}
}

func hfToken() []any {
	return []any{object{"secretRef": object{"name": secretName}}}
}

// podOf and mainOf reach into a component that has its usual shape; nil where an
// override gave it another.
func podOf(c object) object {
	template, _ := c["podTemplate"].(object)
	pod, _ := template["spec"].(object)
	return pod
}

func mainOf(c object) object {
	containers, _ := podOf(c)["containers"].([]any)
	for _, item := range containers {
		if container, ok := item.(object); ok && container["name"] == "main" {
			return container
		}
	}
	return nil
}

// extend appends to a list of an object.
func extend(o object, key string, items ...any) {
	have, _ := o[key].([]any)
	o[key] = append(have, items...)
}

// mount gives the main container of a component a volume.
func mount(c object, path string, readOnly bool, volume object) {
	m := object{"name": volume["name"], "mountPath": path}
	if readOnly {
		m["readOnly"] = true
	}
	extend(mainOf(c), "volumeMounts", m)
	extend(podOf(c), "volumes", volume)
}
