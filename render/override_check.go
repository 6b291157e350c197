package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkMerged holds what the override made of the deployment against the schema
// and those rules of the API server that overrides break most.
func (o *override) checkMerged(merged object) {
	known := map[fault]bool{}
	for _, f := range o.api.check(betaVersion, "", o.base, false) {
		known[f] = true // not of the override's making
	}
	for _, f := range o.api.check(betaVersion, "", merged, false) {
		if !known[f] {
			o.problem("spec", "in the merged deployment, %s: %s", f.path, f.message)
		}
	}
	if spec, _ := merged["spec"].(object); spec["restart"] != nil {
		o.problem("spec.restart", "the API server refuses it in a new deployment; leave it out")
	}
	paths := o.paths()
	base := componentsOf(o.base)
	for _, f := range rulesOf(merged) {
		o.problem(o.written(f.path, merged, paths), "%s", f.message)
	}
	for _, c := range componentsOf(merged) {
		name, _ := c["name"].(string)
		path, ok := paths[name]
		if !ok {
			continue
		}
		i := slices.IndexFunc(base, func(b object) bool { return b["name"] == name })
		o.checkArgs(path, base[i], c)
		for _, container := range containersOf(c) {
			o.checkResources(path, name, container)
		}
	}
}

// paths is where the override, as written, names each component.
func (o *override) paths() map[string]string {
	paths := map[string]string{}
	spec, _ := o.req.Spec.Overrides.DGD["spec"].(object)
	services, _ := spec["services"].(object)
	for name := range services {
		paths[name] = "spec.services." + name
	}
	items, _ := spec["components"].([]any)
	for i, item := range items {
		c, _ := item.(object)
		if name, _ := c["name"].(string); name != "" {
			paths[name] = fmt.Sprintf("spec.components[%d]", i)
		}
	}
	return paths
}

// written is the path in the override, as written, of a field of the merged
// deployment's components.
func (o *override) written(path string, merged object, paths map[string]string) string {
	for i, c := range componentsOf(merged) {
		name, _ := c["name"].(string)
		if field, ok := strings.CutPrefix(path, fmt.Sprintf("spec.components[%d]", i)); ok && paths[name] != "" {
			return paths[name] + field
		}
	}
	return path
}

// checkResources holds the rule for extended resources such as GPUs: what a
// container requests is what it is limited to.
func (o *override) checkResources(path, component string, container object) {
	resources, _ := container["resources"].(object)
	limits, _ := resources["limits"].(object)
	requests, _ := resources["requests"].(object)
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		domain, _, extended := strings.Cut(name, "/")
		if !extended || strings.HasSuffix(domain, "kubernetes.io") {
			continue
		}
		if limit, ok := limits[name]; !ok {
			o.problem(path, "container %v of component %s requests %v %s without a limit; set limits to the same",
				container["name"], component, requests[name], name)
		} else if limit != requests[name] {
			o.problem(path, "container %v of component %s has %s limits %v and requests %v, which must be equal; set both",
				container["name"], component, name, limit, requests[name])
		}
	}
}
