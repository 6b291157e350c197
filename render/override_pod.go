package render

import (
	"fmt"
	"slices"
)

// sidecarName is how the operator's conversion names a v1alpha1 frontend sidecar.
const sidecarName = "sidecar-frontend"

// podTemplate gathers the pod fields of a v1alpha1 service, which has a field
// for most of what a main container needs and extraPodSpec for the rest.
// extraPodSpec.mainContainer wins where both say something.
func (s alphaService) podTemplate() object {
	pod := object{}
	extra, _ := s.in["extraPodSpec"].(object)
	for key, v := range extra {
		if key != "mainContainer" && key != "containers" {
			pod[key] = v
		}
	}
	var containers []any
	if main := s.mainContainer(extra); len(main) > 0 {
		main["name"] = "main"
		containers = append(containers, main)
	}
	for i, c := range objects(extra["containers"]) {
		if c["name"] == "main" {
			s.o.problem(fmt.Sprintf("%s.extraPodSpec.containers[%d]", s.path, i), "the container main is extraPodSpec.mainContainer")
		}
		containers = append(containers, c)
	}
	if sidecar, ok := s.in["frontendSidecar"].(object); ok {
		containers = append(containers, sidecarContainer(sidecar))
	}
	if len(containers) > 0 {
		pod["containers"] = containers
	}
	if volumes := s.volumes(extra); len(volumes) > 0 {
		pod["volumes"] = volumes
	}
	template := object{}
	if len(pod) > 0 {
		template["spec"] = pod
	}
	if meta, ok := s.in["extraPodMetadata"].(object); ok {
		template["metadata"] = meta
	}
	return template
}

func (s alphaService) mainContainer(extra object) object {
	main, _ := extra["mainContainer"].(object)
	if main == nil {
		main = object{}
	}
	if resources := s.resources(); len(resources) > 0 {
		own, _ := main["resources"].(object)
		main["resources"] = over(resources, own)
	}
	if env := additional(main["env"], s.in["envs"], "name"); len(env) > 0 {
		main["env"] = env
	}
	var mounts []any
	for _, m := range objects(s.in["volumeMounts"]) {
		if path, _ := m["mountPoint"].(string); path != "" {
			mounts = append(mounts, object{"name": m["name"], "mountPath": path})
		}
	}
	if all := additional(main["volumeMounts"], mounts, "mountPath"); len(all) > 0 {
		main["volumeMounts"] = all
	}
	for _, probe := range []string{"livenessProbe", "readinessProbe"} {
		if v, ok := s.in[probe]; ok && main[probe] == nil {
			main[probe] = v
		}
	}
	s.secret(main)
	s.args(main)
	return main
}

// secret adds envFromSecret to the secrets that the container reads.
func (s alphaService) secret(main object) {
	name, _ := s.in["envFromSecret"].(string)
	if name == "" {
		return
	}
	sources, given := main["envFrom"].([]any)
	if !given {
		sources, _ = mainOf(s.base)["envFrom"].([]any)
	}
	for _, source := range objects(sources) {
		if ref, _ := source["secretRef"].(object); ref["name"] == name {
			return
		}
	}
	main["envFrom"] = append(slices.Clone(sources), secretSource(name))
}

func secretSource(name string) object {
	return object{"secretRef": object{"name": name}}
}

// args of an engine come after the generated ones. Those of the Frontend and the
// Planner replace them, as in Dynamo, unless that would take the module away
// from the Frontend's python3.
func (s alphaService) args(main object) {
	own, _ := main["args"].([]any)
	if len(own) == 0 {
		return
	}
	generated, _ := mainOf(s.base)["args"].([]any)
	if s.name == "Frontend" || s.name == "Planner" {
		_, command := main["command"]
		if command || hasFlag(own, "-m") || !hasFlag(generated, "-m") {
			return
		}
		s.o.warn(s.path+".extraPodSpec.mainContainer.args", "are appended to %s; Dynamo replaces it, and nothing starts", quoteArgs(generated))
	}
	main["args"] = slices.Concat(generated, own)
}

// resources turns cpu, memory, gpu and custom into the names that pods use.
func (s alphaService) resources() object {
	in, _ := s.in["resources"].(object)
	out := object{}
	for _, kind := range []string{"limits", "requests"} {
		side, ok := in[kind].(object)
		if !ok {
			continue
		}
		quantities := object{}
		custom, _ := side["custom"].(object)
		for name, v := range custom {
			quantities[name] = v
		}
		for _, name := range []string{"cpu", "memory"} {
			if v, ok := side[name]; ok {
				quantities[name] = v
			}
		}
		if v, ok := side["gpu"]; ok {
			quantities[gpuResource] = v
		}
		if v, ok := side["gpuType"]; ok && v != gpuResource {
			s.o.problem(s.path+".resources."+kind+".gpuType", "is %s: requests are sized for %s", show(v), gpuResource)
		}
		out[kind] = quantities
	}
	if claims, ok := in["claims"]; ok {
		out["claims"] = claims
	}
	return out
}

// volumes are those of extraPodSpec and one for each mounted claim that has
// none: v1alpha1 mounts claims by name.
func (s alphaService) volumes(extra object) []any {
	volumes, _ := extra["volumes"].([]any)
	have := map[string]bool{}
	generated, _ := podOf(s.base)["volumes"].([]any)
	for _, v := range objects(slices.Concat(generated, volumes)) {
		name, _ := v["name"].(string)
		have[name] = true
	}
	for _, m := range objects(s.in["volumeMounts"]) {
		if name, _ := m["name"].(string); !have[name] {
			have[name] = true
			volumes = append(volumes, object{"name": name, "persistentVolumeClaim": object{"claimName": name}})
		}
	}
	return volumes
}

func sidecarContainer(in object) object {
	c := object{"name": sidecarName}
	for from, to := range map[string]string{"image": "image", "args": "args", "envs": "env"} {
		if v, ok := in[from]; ok {
			c[to] = v
		}
	}
	if secret, _ := in["envFromSecret"].(string); secret != "" {
		c["envFrom"] = []any{secretSource(secret)}
	}
	return c
}

// over lays the second tree over the first; lists replace.
func over(base, top object) object {
	for key, v := range top {
		below, nested := base[key].(object)
		if above, ok := v.(object); ok && nested {
			v = over(below, above)
		}
		base[key] = v
	}
	return base
}

// additional appends to a keyed list the items whose key it does not have.
func additional(list, items any, key string) []any {
	out, _ := list.([]any)
	have := map[string]bool{}
	for _, o := range objects(list) {
		value, _ := o[key].(string)
		have[value] = true
	}
	for _, o := range objects(items) {
		if value, _ := o[key].(string); !have[value] {
			out = append(out, o)
		}
	}
	return out
}
