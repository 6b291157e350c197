package profile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Changes lists the inputs that differ, by field path and in its order, each as
// "hardware.totalGpus 8, now 16". It is empty where the keys are equal.
func Changes(before, now Inputs) []string {
	was, is := flatten(before), flatten(now)
	paths := map[string]bool{}
	for p := range was {
		paths[p] = true
	}
	for p := range is {
		paths[p] = true
	}
	var changes []string
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if was[p] != is[p] {
			changes = append(changes, fmt.Sprintf("%s %s, now %s", p, orNotSet(was[p]), orNotSet(is[p])))
		}
	}
	return changes
}

func orNotSet(v string) string {
	if v == "" {
		return "not set"
	}
	return v
}

// flatten maps the path of every leaf of the inputs to its JSON text.
func flatten(in Inputs) map[string]string {
	var tree any
	if err := json.Unmarshal(in.Canonical(), &tree); err != nil {
		panic(fmt.Sprintf("reading canonical inputs: %v", err)) // Canonical wrote them
	}
	leaves := map[string]string{}
	collect("", tree, leaves)
	return leaves
}

func collect(path string, node any, leaves map[string]string) {
	switch v := node.(type) {
	case map[string]any:
		for key, child := range v {
			if path != "" {
				key = path + "." + key
			}
			collect(key, child, leaves)
		}
	case []any:
		for i, child := range v {
			collect(fmt.Sprintf("%s[%d]", path, i), child, leaves)
		}
	case string:
		leaves[path] = v
	default:
		text, _ := json.Marshal(v) // a number, a boolean or null
		leaves[path] = string(text)
	}
}
