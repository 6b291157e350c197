package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// translate turns a v1alpha1 override into v1beta1, by the operator's own
// conversion (api/v1alpha1, shared_spec_conversion.go). Dynamo converts the
// generated deployment to v1alpha1 and back instead; the result is the same but
// for the entries of envs, volumeMounts and envFromSecret, which add to the
// generated ones here and replace them there.
func (o *override) translate() {
	spec, _ := o.partial["spec"].(object)
	out := object{}
	for _, key := range slices.Sorted(maps.Keys(spec)) {
		switch key {
		case "services":
		case "envs":
			out["env"] = spec[key]
		case "pvcs":
			o.claims(spec[key])
		default:
			out[key] = spec[key]
		}
	}
	services, _ := spec["services"].(object)
	var components []any
	for _, name := range slices.Sorted(maps.Keys(services)) {
		base := o.component("spec.services."+name, name)
		if service, ok := services[name].(object); ok && base != nil {
			s := alphaService{o: o, path: "spec.services." + name, name: name, in: service, base: base}
			components = append(components, s.component())
		}
	}
	if len(components) > 0 {
		out["components"] = components
	}
	o.partial["spec"] = out
}

// claims refuses claims that the operator should create: v1beta1 has no field
// for them.
func (o *override) claims(v any) {
	items, _ := v.([]any)
	for i, item := range items {
		claim, _ := item.(object)
		if claim["create"] == true {
			o.problem(fmt.Sprintf("spec.pvcs[%d].create", i), "v1beta1 deployments create no claims; put a PersistentVolumeClaim %v beside the request", claim["name"])
		}
	}
}

// alphaService is one service of a v1alpha1 override.
type alphaService struct {
	o    *override
	path string // in the override
	name string
	in   object
	base object // the generated component
}

func (s alphaService) component() object {
	c := object{"name": s.name}
	s.dropped()
	for _, key := range []string{"replicas", "minAvailable", "multinode", "modelRef", "topologyConstraint",
		"eppConfig", "globalDynamoNamespace", "runtimeVersionOverride", "providerOverride"} {
		if v, ok := s.in[key]; ok {
			c[key] = v
		}
	}
	if kind := s.kind(); kind != "" {
		c["type"] = kind
	}
	if shm, ok := s.in["sharedMemory"].(object); ok {
		if shm["disabled"] == true {
			c["sharedMemorySize"] = "0"
		} else if size, ok := shm["size"]; ok {
			c["sharedMemorySize"] = size
		}
	}
	if adapter, ok := s.in["scalingAdapter"].(object); ok {
		switch adapter["enabled"] {
		case true:
			c["scalingAdapter"] = object{}
		case false:
			s.o.removed = append(s.o.removed, s.name)
		}
	}
	if e := s.experimental(); len(e) > 0 {
		c["experimental"] = e
	}
	if cache := s.compilationCache(); cache != nil {
		c["compilationCache"] = cache
	}
	if _, ok := s.in["frontendSidecar"]; ok {
		c["frontendSidecar"] = sidecarName
	}
	if template := s.podTemplate(); len(template) > 0 {
		c["podTemplate"] = template
	}
	return c
}

// dropped reports the fields that v1beta1 has no place for.
func (s alphaService) dropped() {
	for _, f := range []struct{ key, remedy string }{
		{"annotations", "use extraPodMetadata.annotations"},
		{"labels", "use extraPodMetadata.labels"},
		{"ingress", "put an Ingress beside the request"},
	} {
		if _, ok := s.in[f.key]; ok {
			s.o.problem(s.path+"."+f.key, "v1beta1 has no such field; %s", f.remedy)
		}
	}
	for _, key := range []string{"autoscaling", "dynamoNamespace", "serviceName"} {
		if _, ok := s.in[key]; ok {
			s.o.warn(s.path+"."+key, "has no effect: v1beta1 has no such field")
		}
	}
}

// kind is the v1beta1 type: v1alpha1 has prefill and decode below worker.
func (s alphaService) kind() string {
	kind, given := s.in["componentType"].(string)
	sub, subGiven := s.in["subComponentType"].(string)
	if !given && !subGiven {
		return ""
	}
	generated, _ := s.base["type"].(string)
	if generated == "prefill" || generated == "decode" {
		if !subGiven {
			sub = generated
		}
		generated = "worker"
	}
	if !given {
		kind = generated
	}
	if kind == "worker" && (sub == "prefill" || sub == "decode") {
		return sub
	}
	return kind
}

// experimental gathers what v1alpha1 switches on one by one.
func (s alphaService) experimental() object {
	out := object{}
	for _, key := range []string{"gpuMemoryService", "failover"} {
		feature, _ := s.in[key].(object)
		if feature["enabled"] != true {
			continue
		}
		delete(feature, "enabled")
		if mode, ok := feature["mode"].(string); ok && mode != "" {
			feature["mode"] = strings.ToUpper(mode[:1]) + mode[1:]
		}
		out[key] = feature
	}
	if checkpoint, ok := s.in["checkpoint"].(object); ok {
		if _, given := checkpoint["enabled"]; !given {
			checkpoint["enabled"] = false // optional in v1alpha1 alone
		}
		out["checkpoint"] = checkpoint
	}
	return out
}

func (s alphaService) compilationCache() object {
	for _, mount := range objects(s.in["volumeMounts"]) {
		if mount["useAsCompilationCache"] != true {
			continue
		}
		cache := object{"pvcName": mount["name"]}
		if path, _ := mount["mountPoint"].(string); path != "" {
			cache["mountPath"] = path
		}
		return cache
	}
	return nil
}

// objects returns the objects of a list.
func objects(v any) []object {
	items, _ := v.([]any)
	var out []object
	for _, item := range items {
		if o, ok := item.(object); ok {
			out = append(out, o)
		}
	}
	return out
}
