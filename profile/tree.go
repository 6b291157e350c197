package profile

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree checks the documents of one file and resolves their aliases and merge
// keys. Everything it finds wrong is in problems.
type tree struct {
	file     string
	problems Problems
	open     []*yaml.Node // anchors being expanded, to see cycles
	copied   int          // values that expansion made
	full     bool         // a cap is reached and reported: read no further
}

// resolve returns the document without aliases and merge keys.
func (t *tree) resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		t.add(n, "is not an object: %s", quote(n.Value))
		return n
	}
	return t.walk(n, 1, false)
}

func (t *tree) add(n *yaml.Node, format string, args ...any) {
	t.problems = append(t.problems, Problem{File: t.file, Line: n.Line, Message: fmt.Sprintf(format, args...)})
}

// walk resolves the node in place, or into a copy below an alias: an anchor may
// be used more than once.
func (t *tree) walk(n *yaml.Node, depth int, duplicate bool) *yaml.Node {
	if t.full || !t.bounded(n, depth, duplicate) {
		return n
	}
	if n.Kind == yaml.AliasNode {
		if slices.Contains(t.open, n.Alias) {
			t.add(n, "alias *%s refers to itself", n.Value)
			return n
		}
		t.open = append(t.open, n.Alias)
		defer func() { t.open = t.open[:len(t.open)-1] }()
		return t.walk(n.Alias, depth, true)
	}
	if duplicate {
		c := *n
		c.Content = slices.Clone(n.Content)
		n = &c
	} else if n.Anchor != "" {
		t.open = append(t.open, n)
		defer func() { t.open = t.open[:len(t.open)-1] }()
	}
	if n.Kind == yaml.MappingNode {
		t.mapping(n, depth, duplicate)
		return n
	}
	for i, c := range n.Content {
		n.Content[i] = t.walk(c, depth+1, duplicate)
	}
	return n
}

func (t *tree) bounded(n *yaml.Node, depth int, duplicate bool) bool {
	if depth > maxDepth {
		t.add(n, "is nested deeper than %d levels", maxDepth)
		t.full = true
		return false
	}
	if duplicate {
		t.copied++
	}
	if t.copied > maxExpansion {
		t.add(n, "aliases expand to more than the %d values allowed", maxExpansion)
		t.full = true
		return false
	}
	return true
}

// mapping checks the keys and merges what << names: keys written in the mapping
// win over merged ones, earlier merges over later ones.
func (t *tree) mapping(n *yaml.Node, depth int, duplicate bool) {
	var own, merged []*yaml.Node
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !t.full; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, t.mergeSources(value, depth, duplicate)...)
			continue
		}
		if key.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!str", "!!timestamp"}, key.ShortTag()) {
			t.add(n.Content[i], "a key is %s; keys are strings, quote it", describe(key))
			continue
		}
		if line, ok := first[key.Value]; ok {
			t.add(n.Content[i], "key %s is given twice, first on line %d", quote(key.Value), line)
			continue
		}
		first[key.Value] = key.Line
		own = append(own, key, t.walk(value, depth+1, duplicate))
	}
	for _, m := range merged {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if _, ok := first[m.Content[i].Value]; !ok {
				first[m.Content[i].Value] = m.Content[i].Line
				own = append(own, m.Content[i], m.Content[i+1])
			}
		}
	}
	n.Content = own
}

func (t *tree) mergeSources(n *yaml.Node, depth int, duplicate bool) []*yaml.Node {
	v := t.walk(n, depth+1, duplicate)
	sources := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		sources = v.Content
	}
	for _, s := range sources {
		if s.Kind != yaml.MappingNode {
			t.add(n, "merge key << takes a mapping or a list of mappings")
			return nil
		}
	}
	return sources
}

// yaml11Bools are plain words that Kubernetes' YAML 1.1 readers take for
// booleans and YAML 1.2 readers for strings.
const yaml11Bools = " y Y yes Yes YES n N no No NO on On ON off Off OFF "

func ambiguous(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style == 0 && n.Value != "" && strings.Contains(yaml11Bools, " "+n.Value+" ")
}

func boolean(n *yaml.Node) (value, ok bool) {
	value = strings.EqualFold(n.Value, "true")
	return value, n.ShortTag() == "!!bool" && (value || strings.EqualFold(n.Value, "false"))
}

// jsonTree converts a node into JSON values. A value that JSON cannot hold, or
// that YAML versions read differently, is a problem.
func (d *decoder) jsonTree(path string, n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = d.jsonTree(path+"."+n.Content[i].Value, n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = d.jsonTree(fmt.Sprintf("%s[%d]", path, i), c)
		}
		return list
	default:
		return d.jsonScalar(path, n)
	}
}

func (d *decoder) jsonScalar(path string, n *yaml.Node) any {
	if ambiguous(n) {
		d.warn(path, "%s is read as a string, kubectl reads a boolean; quote it, or write true or false", n.Value)
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		v, ok := boolean(n)
		if !ok {
			d.problem(path, "must be true or false, is %s", quote(n.Value))
		}
		return v
	case "!!str", "!!timestamp":
		return n.Value
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			d.problem(path, "must be a finite number, is %s", quote(n.Value))
			return nil
		}
		if n.ShortTag() == "!!int" && math.Abs(f) > 1<<53 {
			d.problem(path, "%s is too large to be kept exactly", quote(n.Value))
		}
		return f
	default:
		d.problem(path, "tag %s is not known", n.ShortTag())
		return nil
	}
}
