// Package rendertest compares rendered manifests with the goldens: what the
// profiler of Dynamo 1.5.1 wrote for the same request. Only object names,
// ConfigMap suffixes, our own labels and annotations and the order of
// components are normalised; every other difference is a deviation, applied to
// the golden's documents in memory by a named rule of docs/deviations.md.
//
// Only tests and the benchmark import it.
package rendertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Comparison remembers which rules fired, so that a run over all goldens can
// tell which are dead.
type Comparison struct {
	fired map[string]bool
}

// New starts a comparison in which no rule has fired.
func New() *Comparison {
	return &Comparison{fired: map[string]bool{}}
}

// Compare returns an error that lists every difference between the manifest
// stream and the golden of a case directory which no rule accounts for.
func (c *Comparison) Compare(caseDir string, got []byte) error {
	data, err := os.ReadFile(filepath.Join(caseDir, "final_config.yaml"))
	if err != nil {
		return err
	}
	want, err := parse(data)
	if err != nil {
		return fmt.Errorf("golden: %w", err)
	}
	have, err := parse(got)
	if err != nil {
		return fmt.Errorf("rendered: %w", err)
	}
	spec, err := readMap(filepath.Join(caseDir, "spec.yaml"))
	if err != nil {
		return err
	}
	g := &golden{spec: spec, want: want, got: have}
	for _, r := range rules() {
		if r.apply(g) {
			c.fired[r.name] = true
		}
	}
	var diffs []string
	difference("", want.tree(), have.tree(), &diffs)
	if len(diffs) > 0 {
		return errors.New(strings.Join(diffs, "\n"))
	}
	return nil
}

// Dead lists the rules that no comparison needed.
func (c *Comparison) Dead() []string {
	var dead []string
	for _, name := range Rules() {
		if !c.fired[name] {
			dead = append(dead, name)
		}
	}
	return dead
}

// Rules lists the names of all rules, each a heading of docs/deviations.md.
func Rules() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// documents are the normalised documents of one stream.
type documents struct {
	dgd           map[string]any
	plannerConfig map[string]any // nil without a planner
}

func (d *documents) tree() map[string]any {
	return map[string]any{"dgd": d.dgd, "planner_config.json": d.plannerConfig}
}

// components returns the components that match, by name.
func (d *documents) components(types ...string) []map[string]any {
	var out []map[string]any
	for _, c := range items(dig(d.dgd, "spec"), "components") {
		if kind, _ := c["type"].(string); len(types) == 0 || slices.Contains(types, kind) {
			out = append(out, c)
		}
	}
	return out
}

func (d *documents) workers() []map[string]any {
	return d.components("worker", "prefill", "decode")
}

// parse reads a stream and normalises it.
func parse(stream []byte) (*documents, error) {
	docs := &documents{}
	dec := yaml.NewDecoder(bytes.NewReader(stream))
	for {
		var doc map[string]any
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch doc["kind"] {
		case "ConfigMap":
			config, ok := dig(doc, "data")["planner_config.json"].(string)
			if !ok {
				return nil, fmt.Errorf("unexpected ConfigMap %v", dig(doc, "metadata")["name"])
			}
			if err := json.Unmarshal([]byte(config), &docs.plannerConfig); err != nil {
				return nil, err
			}
		case "DynamoGraphDeployment":
			docs.dgd = doc
		default:
			return nil, fmt.Errorf("unexpected %v", doc["kind"])
		}
	}
	if docs.dgd == nil {
		return nil, errors.New("no DynamoGraphDeployment")
	}
	normalize(docs.dgd)
	return docs, nil
}

// normalize drops the names of objects and what we add to the metadata, and
// sorts the components.
func normalize(dgd map[string]any) {
	meta := dig(dgd, "metadata")
	delete(meta, "name")
	for _, key := range []string{"labels", "annotations"} {
		entries := dig(meta, key)
		for name := range entries {
			if strings.HasPrefix(name, "dynamo-cmp.github.io/") || strings.HasPrefix(name, "app.kubernetes.io/") {
				delete(entries, name)
			}
		}
		if len(entries) == 0 {
			delete(meta, key)
		}
	}
	components, _ := dig(dgd, "spec")["components"].([]any)
	slices.SortFunc(components, func(a, b any) int {
		return strings.Compare(fmt.Sprint(a.(map[string]any)["name"]), fmt.Sprint(b.(map[string]any)["name"]))
	})
	for _, c := range items(dig(dgd, "spec"), "components") {
		renameConfigVolumes(c)
	}
}

// renameConfigVolumes gives the planner's ConfigMap one name, in the pod's
// volumes and in the container's mounts.
func renameConfigVolumes(component map[string]any) {
	pod := dig(component, "podTemplate", "spec")
	for _, volume := range items(pod, "volumes") {
		cm := dig(volume, "configMap")
		if name, _ := cm["name"].(string); !strings.Contains(name, "planner-config") {
			continue
		}
		for _, m := range items(mainOf(component), "volumeMounts") {
			if m["name"] == volume["name"] {
				m["name"] = "planner-config"
			}
		}
		cm["name"], volume["name"] = "planner-config", "planner-config"
	}
}

func readMap(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, yaml.Unmarshal(data, &m)
}

// dig walks keys of mappings; nil where there is none.
func dig(m map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		m, _ = m[key].(map[string]any)
	}
	return m
}

// items returns the mappings of a list.
func items(m map[string]any, key string) []map[string]any {
	list, _ := m[key].([]any)
	var out []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// mainOf is the first container of a component, which Dynamo calls main.
func mainOf(component map[string]any) map[string]any {
	for _, c := range items(dig(component, "podTemplate", "spec"), "containers") {
		if c["name"] == "main" {
			return c
		}
	}
	return nil
}

// difference lists where two trees differ, as path: golden -> rendered.
func difference(path string, want, got any, out *[]string) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, key := range union(w, g) {
			difference(path+"."+key, w[key], g[key], out)
		}
		return
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) || !structured(w) {
			break
		}
		for i := range w {
			difference(fmt.Sprintf("%s[%d]", path, i), w[i], g[i], out)
		}
		return
	}
	if a, b := text(want), text(got); a != b {
		*out = append(*out, fmt.Sprintf("%s: %s -> %s", path, a, b))
	}
}

func structured(list []any) bool {
	_, ok := append(list, nil)[0].(map[string]any)
	return ok
}

func union(a, b map[string]any) []string {
	var keys []string
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// text is a value as JSON, which keeps "1" and 1 apart.
func text(v any) string {
	if v == nil {
		return "(none)"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
