package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// DGDVersions are the versions of DynamoGraphDeployments that can be rendered; the
// first is the default.
func DGDVersions() []string { return []string{"v1beta1", "v1alpha1"} }

// inVersion is a deployment in the version asked for. What v1alpha1 cannot say is
// a problem of the override, as nothing else is generated that it could not.
func (a *assembly) inVersion(dgd object, version string) (object, error) {
	if version = releaseOf(a.req).deployment(version); version == "" || version == DGDVersions()[0] {
		return dgd, nil
	}
	api, err := loadOpenAPI()
	if err != nil {
		return nil, err
	}
	dgd = alphaDeployment(dgd)
	var problems profile.Problems
	for _, f := range api.check(alphaVersion, "", dgd, false) {
		problems = append(problems, a.req.Problem(overridden, fmt.Sprintf("v1alpha1 cannot say this: %s: %s", f.path, f.message)))
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return dgd, nil
}

// alphaDeployment turns a v1beta1 deployment into v1alpha1, the reverse of the
// operator's own conversion (api/v1alpha1, shared_spec_conversion.go). A field
// that v1alpha1 does not have stays, for the schema to refuse.
func alphaDeployment(dgd object) object {
	out := copyTree(dgd).(object)
	out["apiVersion"] = alphaVersion
	spec, _ := out["spec"].(object)
	services := object{}
	for _, c := range componentsOf(out) {
		name, _ := c["name"].(string)
		services[name] = alphaComponent(c)
	}
	delete(spec, "components")
	spec["services"] = services
	move(spec, "env", spec, "envs")
	return out
}

// move takes a field from one object to another, where it is set.
func move(from object, key string, to object, as string) {
	if v, ok := from[key]; ok {
		delete(from, key)
		to[as] = v
	}
}

func alphaComponent(c object) object {
	s := object{}
	template, _ := c["podTemplate"].(object)
	for _, key := range slices.Sorted(maps.Keys(c)) {
		switch key {
		case "name", "podTemplate", "experimental":
		case "type":
			s["componentType"] = c["type"]
			if kind, _ := c["type"].(string); kind == "prefill" || kind == "decode" {
				s["componentType"], s["subComponentType"] = "worker", kind
			}
		case "sharedMemorySize":
			s["sharedMemory"] = object{"size": c[key]}
			if fmt.Sprint(c[key]) == "0" {
				s["sharedMemory"] = object{"disabled": true}
			}
		case "scalingAdapter":
			s[key] = object{"enabled": true} // an empty one is off in v1alpha1
		case "compilationCache":
			cache, _ := c[key].(object)
			mount := object{"useAsCompilationCache": true}
			move(cache, "pvcName", mount, "name")
			move(cache, "mountPath", mount, "mountPoint")
			s["volumeMounts"] = []any{mount}
		default:
			s[key] = c[key]
		}
	}
	alphaExperimental(c, s)
	move(template, "metadata", s, "extraPodMetadata")
	if pod, ok := template["spec"].(object); ok {
		s["extraPodSpec"] = alphaPod(pod, s)
	}
	return s
}

// alphaExperimental switches on one by one what v1beta1 gathers.
func alphaExperimental(c, s object) {
	experimental, ok := c["experimental"].(object)
	if !ok {
		return
	}
	for _, key := range []string{"gpuMemoryService", "failover"} {
		if feature, ok := experimental[key].(object); ok {
			feature["enabled"] = true
			if mode, _ := feature["mode"].(string); mode != "" {
				feature["mode"] = strings.ToLower(mode[:1]) + mode[1:]
			}
			move(experimental, key, s, key)
		}
	}
	move(experimental, "checkpoint", s, "checkpoint")
	if len(experimental) > 0 {
		s["experimental"] = experimental
	}
}

// alphaPod is the pod of a component as extraPodSpec, beside the fields that the
// service has of its own.
func alphaPod(pod, s object) object {
	var others []any
	for _, c := range objects(pod["containers"]) {
		switch name := c["name"]; {
		case name == "main":
			delete(c, "name")
			if resources, ok := c["resources"].(object); ok {
				delete(c, "resources")
				s["resources"] = alphaResources(resources)
			}
			alphaSecret(c, s)
			pod["mainContainer"] = c
		case name == sidecarName && s["frontendSidecar"] == sidecarName:
			delete(c, "name")
			move(c, "env", c, "envs")
			alphaSecret(c, c)
			s["frontendSidecar"] = c
		default:
			others = append(others, c)
		}
	}
	delete(pod, "containers")
	if len(others) > 0 {
		pod["containers"] = others
	}
	return pod
}

// alphaSecret names the one secret that a container takes its environment from.
func alphaSecret(container, to object) {
	sources := objects(container["envFrom"])
	if len(sources) != 1 {
		return
	}
	ref, _ := sources[0]["secretRef"].(object)
	if name, _ := ref["name"].(string); name != "" && len(ref) == 1 && len(sources[0]) == 1 {
		delete(container, "envFrom")
		to["envFromSecret"] = name
	}
}

// alphaResources gives cpu, memory and gpu their fields; the rest is custom.
func alphaResources(resources object) object {
	out := object{}
	for _, kind := range slices.Sorted(maps.Keys(resources)) {
		quantities, ok := resources[kind].(object)
		if !ok {
			out[kind] = resources[kind]
			continue
		}
		side, custom := object{}, object{}
		for name, v := range quantities {
			switch name {
			case "cpu", "memory":
				side[name] = fmt.Sprint(v)
			case gpuResource:
				side["gpu"] = fmt.Sprint(v)
			default:
				custom[name] = fmt.Sprint(v)
			}
		}
		if len(custom) > 0 {
			side["custom"] = custom
		}
		out[kind] = side
	}
	return out
}

// betaView is a v1alpha1 deployment in v1beta1, as far as the checks look at it.
func betaView(dgd object, req *profile.Request) object {
	if dgd["apiVersion"] != alphaVersion {
		return dgd
	}
	out := copyTree(dgd).(object)
	spec, _ := out["spec"].(object)
	services, _ := spec["services"].(object)
	var components []any
	for _, name := range slices.Sorted(maps.Keys(services)) {
		service, _ := services[name].(object)
		s := alphaService{o: &override{req: req}, name: name, in: service, base: object{}}
		components = append(components, s.component())
	}
	return object{"metadata": out["metadata"], "spec": object{"components": components}}
}
