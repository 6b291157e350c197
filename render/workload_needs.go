package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// need is something that a cluster must have for a manifest to work: any one of the
// capabilities.
type need struct {
	what  string // the reason
	anyOf []string
}

// lacking says which manifests need what the cluster is not said to have. Where
// nothing says what it has, nothing is lacking.
func (src *Source) lacking(stream []manifest) profile.Problems {
	if src.capabilities == nil {
		return nil
	}
	var problems profile.Problems
	fault := func(at profile.Problem, needs []need) {
		for _, n := range needs {
			if slices.ContainsFunc(n.anyOf, func(c string) bool { return slices.Contains(src.capabilities, c) }) {
				continue
			}
			at.Message = fmt.Sprintf("%s, and %s does not list it; to have it, install %s and add %s to its capabilities",
				n.what, src.hardware, products(n.anyOf), strings.Join(n.anyOf, " or "))
			problems = append(problems, at)
		}
	}
	for _, req := range src.Requests {
		if p := req.Spec.Features.Planner; p != nil && p["optimization_target"] == "sla" && p["enable_throughput_scaling"] != false {
			fault(req.Problem("spec.features.planner", ""), []need{{"scales by traffic that it reads from Prometheus", []string{profile.Prometheus}}})
		}
		if r := req.Spec.Hardware.RDMA; r != nil && *r {
			fault(req.Problem("spec.hardware.rdma", ""), []need{{"is true", []string{profile.RDMA}}})
		}
	}
	for _, m := range stream {
		var tree object
		if err := m.node.Decode(&tree); err != nil {
			continue // not an object: the API server says so
		}
		fault(profile.Problem{File: m.source.File, Line: m.source.Line}, needsOf(m, tree))
	}
	return once(problems)
}

// products are what to install for capabilities.
func products(capabilities []string) string {
	names := map[string]string{
		profile.Grove: "Grove", profile.LWS: "LeaderWorkerSet", profile.KAI: "the KAI Scheduler", profile.RDMA: "an RDMA device plugin",
		profile.Prometheus: "the Prometheus Operator", profile.GAIE: "the Gateway API Inference Extension",
	}
	var out []string
	for _, c := range capabilities {
		out = append(out, names[c])
	}
	return strings.Join(out, " or ")
}

// needsOf a manifest, by its kind and, for a deployment of either version, by what
// its components ask for.
func needsOf(m manifest, tree object) []need {
	group, _, _ := strings.Cut(m.apiVersion, "/")
	is := fmt.Sprintf("%s %q", m.kind, m.name)
	switch {
	case group == "monitoring.coreos.com":
		return []need{{is + " is an object of the Prometheus Operator", []string{profile.Prometheus}}}
	case strings.HasPrefix(group, "inference.networking."):
		return []need{{is + " is an object of the inference gateway", []string{profile.GAIE}}}
	case m.kind != deploymentKind || group != "nvidia.com":
		return nil
	}
	meta, _ := tree["metadata"].(object)
	annotations, _ := meta["annotations"].(object)
	spec, _ := tree["spec"].(object)
	multinode := []string{profile.Grove, profile.LWS}
	if annotations["nvidia.com/enable-grove"] == "false" {
		multinode = []string{profile.LWS}
	}
	var needs []need
	add := func(what string, anyOf ...string) { needs = append(needs, need{is + " " + what, anyOf}) }
	if _, ok := annotations[queueAnnotation]; ok {
		add("is put into a queue of the KAI Scheduler", profile.KAI)
		add("is put into a queue, which the operator does under Grove alone", profile.Grove)
	}
	for _, key := range []string{"priorityClassName", "topologyConstraint"} {
		if _, ok := spec[key]; ok {
			add("has "+key+", which only Grove heeds", profile.Grove)
		}
	}
	for _, c := range servicesOf(spec) {
		name := fmt.Sprint(c["name"])
		if c["multinode"] != nil {
			add("runs an engine of "+name+" on several nodes", multinode...)
		}
		if c["type"] == "epp" || c["componentType"] == "epp" {
			add("has the endpoint picker "+name, profile.GAIE)
		}
		if device := rdmaDevice(c); device != "" {
			add("asks for "+device+" in "+name, profile.RDMA)
		}
	}
	return needs
}

// servicesOf are the components of a deployment of either version, by name.
func servicesOf(spec object) []object {
	components := objects(spec["components"])
	services, _ := spec["services"].(object)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		service, ok := services[name].(object)
		if !ok {
			continue
		}
		service["name"] = name
		components = append(components, service)
	}
	return components
}

// rdmaDevice is a resource of an RDMA device plugin that a component asks for.
func rdmaDevice(v any) string {
	switch v := v.(type) {
	case object:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if strings.HasPrefix(key, "rdma/") || key == "vpc.amazonaws.com/efa" {
				return key
			}
			if found := rdmaDevice(v[key]); found != "" {
				return found
			}
		}
	case []any:
		for _, item := range v {
			if found := rdmaDevice(item); found != "" {
				return found
			}
		}
	}
	return ""
}
