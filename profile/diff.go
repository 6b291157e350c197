package profile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is a fact in which two results differ. The path is that of the result
// document, with roles and the flags of an engine by their names; a value is empty
// where a result does not have it.
type Difference struct {
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Differences compares what two results were asked, what they pick and expect, and
// what made them, in the order of the result document. What was not picked, and the
// points of the sweep, are left out.
func Differences(before, after *Result) []Difference {
	was, is := before.facts(), after.facts()
	var out []Difference
	for _, section := range []string{"inputs", "confidence", "reason", "model", "sla", "pick", "expected", "warnings", "provenance"} {
		paths := map[string]bool{}
		for p := range was[section] {
			paths[p] = true
		}
		for p := range is[section] {
			paths[p] = true
		}
		for _, p := range slices.Sorted(maps.Keys(paths)) {
			if a, b := was[section][p], is[section][p]; a != b {
				out = append(out, Difference{p, a, b})
			}
		}
	}
	return out
}

// facts are the leaves of the result by section and path.
func (r *Result) facts() map[string]map[string]string {
	pick := r.Pick
	pick.Expected = nil
	tree := map[string]any{"inputs": r.Inputs, "confidence": r.Confidence, "reason": r.Reason, "model": r.Model,
		"sla": r.SLA, "pick": pick, "expected": r.Pick.Expected, "warnings": strings.Join(r.Warnings, "; "), "provenance": r.Provenance}
	out := map[string]map[string]string{}
	for section, value := range tree {
		leaves := map[string]string{}
		collect(section, plain(value), leaves)
		maps.DeleteFunc(leaves, func(_, v string) bool { return v == "" || v == "null" })
		out[section] = leaves
	}
	return out
}

// plain is a value as JSON shows it, with roles and flags by name.
func plain(value any) any {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value) // not a number: no result that was checked
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return string(data)
	}
	m, ok := tree.(map[string]any)
	if !ok {
		return tree
	}
	roles, _ := m["roles"].([]any)
	named := map[string]any{}
	for _, item := range roles {
		role, _ := item.(map[string]any)
		name, _ := role["name"].(string)
		delete(role, "name")
		if args, ok := role["args"].([]any); ok {
			role["args"] = byFlag(args)
		}
		named[name] = role
	}
	if roles != nil {
		m["roles"] = named
	}
	return m
}

// byFlag is a command line by its flags; one without a value is "set".
func byFlag(args []any) map[string]any {
	flags := map[string]any{}
	flag := ""
	for _, arg := range args {
		word := fmt.Sprint(arg)
		switch {
		case strings.HasPrefix(word, "--"):
			flag = word
			flags[flag] = "set"
		case flags[flag] == nil || flags[flag] == "set":
			flags[flag] = word
		default:
			flags[flag] = fmt.Sprint(flags[flag], " ", word)
		}
	}
	return flags
}
