package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Sizing is a component of a deployment as far as it is a choice of size and speed.
type Sizing struct {
	Component     string            `json:"component"`
	Replicas      int               `json:"replicas"`      // 1 where a planner or a default decides
	Nodes         int               `json:"nodes"`         // of one engine
	GPUsPerEngine int               `json:"gpusPerEngine"` // on all of its nodes
	Flags         map[string]string `json:"flags"`         // of the engine, parallelism by its long names
}

// RoleComparison is a role of two deployments. A nil side has no such role.
type RoleComparison struct {
	Role        string       `json:"role"` // prefill, decode or worker; frontend, planner and others
	Chosen      *Sizing      `json:"chosen"`
	Against     *Sizing      `json:"against"`
	Differences []Difference `json:"differences"`
}

// Difference is a value that is not the same on both sides; empty is absent.
type Difference struct {
	Name    string `json:"name"` // replicas, nodes, gpusPerEngine, or a flag
	Chosen  string `json:"chosen"`
	Against string `json:"against"`
}

// Compare holds a generated deployment against the only one in a file, of either
// version, such as a recipe's. Engines come first.
func Compare(chosen map[string]any, file string, data []byte) ([]RoleComparison, error) {
	other, err := onlyDeployment(file, data)
	if err != nil {
		return nil, err
	}
	ours, theirs := sizings(chosen), sizings(other)
	roles := slices.Collect(maps.Keys(ours))
	for role := range theirs {
		if _, both := ours[role]; !both {
			roles = append(roles, role)
		}
	}
	slices.SortFunc(roles, func(a, b string) int {
		if i := roleRank(a) - roleRank(b); i != 0 {
			return i
		}
		return strings.Compare(a, b)
	})
	var out []RoleComparison
	for _, role := range roles {
		for i := range max(len(ours[role]), len(theirs[role])) {
			c := RoleComparison{Role: role, Chosen: at(ours[role], i), Against: at(theirs[role], i)}
			c.Differences = differences(c.Chosen, c.Against)
			out = append(out, c)
		}
	}
	return out, nil
}

func at(list []Sizing, i int) *Sizing {
	if i >= len(list) {
		return nil
	}
	return &list[i]
}

func roleRank(role string) int {
	known := []string{"prefill", "decode", "worker", "frontend", "planner"}
	if i := slices.Index(known, role); i >= 0 {
		return i
	}
	return len(known)
}

// onlyDeployment is the DynamoGraphDeployment of a file as a JSON tree of v1beta1.
func onlyDeployment(file string, data []byte) (object, error) {
	docs, err := profile.Documents(file, data)
	if err != nil {
		return nil, err
	}
	docs = slices.DeleteFunc(docs, func(d profile.Document) bool {
		return d.Kind != deploymentKind || d.APIVersion != alphaVersion && d.APIVersion != betaVersion
	})
	if len(docs) != 1 {
		return nil, profile.Problems{{File: file, Message: fmt.Sprintf("holds %d objects of kind %s (%s or %s), and one is compared", len(docs), deploymentKind, betaVersion, alphaVersion)}}
	}
	var tree, plain any
	if err := docs[0].Root.Decode(&tree); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return copyTree(plain).(object), nil
}

// Components are those of a DynamoGraphDeployment of either version, in the words of
// v1beta1.
func Components(dgd map[string]any) []map[string]any {
	spec, _ := dgd["spec"].(object)
	components := objects(spec["components"])
	services, _ := spec["services"].(object)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if service, ok := services[name].(object); ok {
			// What v1beta1 has no place for has nothing to do with size.
			s := alphaService{o: &override{req: &profile.Request{}}, name: name, in: copyTree(service).(object), base: object{}}
			components = append(components, s.component())
		}
	}
	return components
}

// Size is that of a component of Components.
func Size(component map[string]any) Sizing {
	return sizing(component)
}

// sizings are the components of a deployment by role.
func sizings(dgd object) map[string][]Sizing {
	components := Components(dgd)
	workers := 0
	for _, c := range components {
		if isEngine(c) {
			workers++
		}
	}
	out := map[string][]Sizing{}
	for _, c := range components {
		s := sizing(c)
		role := roleOf(c, s, workers)
		out[role] = append(out[role], s)
	}
	return out
}

func isEngine(c object) bool {
	kind, _ := c["type"].(string)
	return slices.Contains([]string{"worker", "prefill", "decode"}, kind)
}

// roleOf is what a component does. Old recipes call every engine a worker; its flags
// then say which, or else its name, as Dynamo's planner takes it
// (planner/config/backend_components.py). An engine alone does both.
func roleOf(c object, s Sizing, workers int) string {
	kind, _ := c["type"].(string)
	if !isEngine(c) {
		if kind == "" {
			return s.Component
		}
		return kind
	}
	mode := s.Flags["--disaggregation-mode"]
	_, prefill := s.Flags["--is-prefill-worker"]
	name := strings.ToLower(s.Component)
	switch {
	case workers == 1 && mode == "":
		return "worker"
	case kind != "worker":
		return kind
	case mode == "prefill" || mode == "decode":
		return mode
	case prefill || strings.Contains(name, "prefill"):
		return "prefill"
	case strings.Contains(name, "decode") || s.Flags["--is-decode-worker"] != "":
		return "decode"
	}
	return "worker"
}

func sizing(c object) Sizing {
	name, _ := c["name"].(string)
	multinode, _ := c["multinode"].(object)
	s := Sizing{Component: name, Replicas: count(c["replicas"]), Nodes: count(multinode["nodeCount"]), Flags: map[string]string{}}
	resources, _ := mainOf(c)["resources"].(object)
	limits, _ := resources["limits"].(object)
	if gpus, err := strconv.Atoi(quantity(limits)); err == nil {
		s.GPUsPerEngine = gpus * s.Nodes
	}
	if main := mainOf(c); main != nil {
		s.Flags = flagsOf(main)
	}
	return s
}

// differences are those of two sides, none where one is missing.
func differences(chosen, against *Sizing) []Difference {
	out := []Difference{}
	if chosen == nil || against == nil {
		return out
	}
	add := func(name, a, b string) {
		if a != b {
			out = append(out, Difference{name, a, b})
		}
	}
	add("replicas", strconv.Itoa(chosen.Replicas), strconv.Itoa(against.Replicas))
	add("nodes", strconv.Itoa(chosen.Nodes), strconv.Itoa(against.Nodes))
	add("gpusPerEngine", strconv.Itoa(chosen.GPUsPerEngine), strconv.Itoa(against.GPUsPerEngine))
	flags := slices.AppendSeq(slices.Collect(maps.Keys(chosen.Flags)), maps.Keys(against.Flags))
	slices.SortFunc(flags, func(a, b string) int {
		if i := parallelRank(a) - parallelRank(b); i != 0 {
			return i
		}
		return strings.Compare(a, b)
	})
	for _, flag := range slices.Compact(flags) {
		unset := ""
		if parallelRank(flag) < len(ParallelFlags()) {
			unset = "1" // as all backends have it
		}
		add(flag, cmp.Or(chosen.Flags[flag], unset), cmp.Or(against.Flags[flag], unset))
	}
	return out
}

func parallelRank(flag string) int {
	if i := slices.Index(ParallelFlags(), flag); i >= 0 {
		return i
	}
	return len(ParallelFlags())
}
