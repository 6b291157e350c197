package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// mark is the annotation by which a DGDR, and what is generated from it, is known
// again after the build. A JSON patch leaves internal annotations alone.
const mark = "internal.config.kubernetes.io/dynamo-cmp"

// referencesFile is the place of our name references in the build.
const referencesFile = ".dynamo-cmp-references.json"

// stage lays the files of the closure out for kustomize, in memory: DGDRs marked
// with their number, each followed by what stands for it, and every kustomization
// as edit leaves it.
func (c *closure) stage(edit func(*layer) types.Kustomization, standing map[int][]object) (filesys.FileSystem, error) {
	m := newMemory()
	for place, data := range c.files {
		m.add(place, data)
	}
	for place, h := range c.holders {
		data, err := h.encode(standing)
		if err != nil {
			return nil, err
		}
		m.add(place, data)
	}
	references, err := json.Marshal(c.references(standing))
	if err != nil {
		return nil, err
	}
	m.add(referencesFile, references)
	for _, l := range c.layers {
		spec := edit(l)
		spec.Configurations = append(slices.Clone(spec.Configurations), relative(l.at, referencesFile))
		data, err := json.Marshal(spec) // JSON is YAML
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.source(), err)
		}
		m.add(path.Join(l.at, l.file), data)
	}
	return m, nil
}

// encode writes the file, its DGDRs marked.
func (h holder) encode(standing map[int][]object) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	number := h.first
	for _, d := range h.docs {
		if !d.IsRequest() {
			if err := enc.Encode(d.Root); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
			}
			continue
		}
		if err := enc.Encode(marked(d.Root, strconv.Itoa(number))); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
		}
		for i, obj := range standing[number] {
			if err := enc.Encode(marked(tree(obj), fmt.Sprintf("%d.%d", number, i))); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
			}
		}
		number++
	}
	return b.Bytes(), enc.Close()
}

// marked is a copy of a document with the mark among its annotations.
func marked(root *yaml.Node, value string) *yaml.Node {
	return with(root, func(meta *yaml.Node) *yaml.Node {
		return with(meta, func(notes *yaml.Node) *yaml.Node {
			return with(notes, func(*yaml.Node) *yaml.Node {
				return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: value}
			}, mark)
		}, "annotations")
	}, "metadata")
}

// with is a copy of a mapping in which the value of a key is replaced. What is
// no mapping becomes one: an annotation list that is null, or missing.
func with(n *yaml.Node, replace func(*yaml.Node) *yaml.Node, key string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	found := false
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			value := n.Content[i+1]
			if n.Content[i].Value == key {
				value, found = replace(value), true
			}
			out.Content = append(out.Content, n.Content[i], value)
		}
	}
	if !found {
		out.Content = append(out.Content, text(key), replace(nil))
	}
	return out
}

// markOf takes the mark off a resource: the number of its DGDR, and whether it is
// the DGDR itself or stands for it.
func markOf(r *resource.Resource) (number int, standing, ok bool, err error) {
	notes := r.GetAnnotations()
	value, ok := notes[mark]
	if !ok {
		return 0, false, false, nil
	}
	delete(notes, mark)
	if err := r.SetAnnotations(notes); err != nil {
		return 0, false, false, err
	}
	var index int
	n, _ := fmt.Sscanf(value, "%d.%d", &number, &index)
	return number, n == 2, n > 0, nil
}
