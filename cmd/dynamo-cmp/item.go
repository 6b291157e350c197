package main

import (
	"cmp"
	"errors"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// pathAnnotations name the file of an item, the second in the words of old
// orchestrators (functions-spec.md, "Internal Annotations").
func pathAnnotations() []string {
	return []string{"internal.config.kubernetes.io/path", "config.kubernetes.io/path"}
}

// fileOf is the file that an item comes from, relative to the package, "" where the
// orchestrator does not say or the path is none.
func fileOf(item *yaml.Node) string {
	for _, name := range pathAnnotations() {
		if file := annotation(item, name); file != "" {
			return path.Clean(file)
		}
	}
	return ""
}

func annotation(item *yaml.Node, name string) string {
	if n := child(child(child(item, "metadata"), "annotations"), name); n != nil {
		return n.Value
	}
	return ""
}

// annotate sets an annotation of an item that has annotations or none.
func annotate(item *yaml.Node, name, value string) {
	meta := child(item, "metadata")
	if meta == nil {
		return
	}
	notes := child(meta, "annotations")
	if notes == nil {
		notes = &yaml.Node{Kind: yaml.MappingNode}
		meta.Content = append(meta.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "annotations"}, notes)
	}
	notes.Content = append(notes.Content,
		&yaml.Node{Kind: yaml.ScalarNode, Value: name},
		&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
}

// itemError is what is wrong with an item.
type itemError struct {
	item *yaml.Node
	err  error
}

func (e itemError) Error() string { return e.err.Error() }
func (e itemError) Unwrap() error { return e.err }

// result is one of the results of a function.
type result struct {
	Message     string       `yaml:"message"`
	Severity    string       `yaml:"severity"`
	ResourceRef *resourceRef `yaml:"resourceRef,omitempty"`
	Field       *resultField `yaml:"field,omitempty"`
	File        *resultFile  `yaml:"file,omitempty"`
}

type resourceRef struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Name       string `yaml:"name"`
	Namespace  string `yaml:"namespace,omitempty"`
}

type resultField struct {
	Path string `yaml:"path"`
}

type resultFile struct {
	Path string `yaml:"path"`
}

// resultsOf takes an error apart: a result for each problem of each item.
func resultsOf(err error) []result {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []result
		for _, e := range joined.Unwrap() {
			out = append(out, resultsOf(e)...)
		}
		return out
	}
	var out []result
	var problems profile.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			r := result{Message: p.Message, Severity: "error"}
			if p.Path != "" {
				r.Field = &resultField{p.Path}
			}
			out = append(out, r)
		}
	} else {
		for line := range strings.Lines(err.Error()) {
			out = append(out, result{Message: strings.TrimRight(line, "\n"), Severity: "error"})
		}
	}
	var of itemError
	if errors.As(err, &of) {
		ref := refOf(of.item)
		for i := range out {
			out[i].ResourceRef = ref
			if file := fileOf(of.item); file != "" {
				out[i].File = &resultFile{file}
			}
		}
	}
	return out
}

func refOf(item *yaml.Node) *resourceRef {
	text := func(n *yaml.Node) string {
		return cmp.Or(n, &yaml.Node{}).Value
	}
	meta := child(item, "metadata")
	return &resourceRef{text(child(item, "apiVersion")), text(child(item, "kind")), text(child(meta, "name")), text(child(meta, "namespace"))}
}

// clearLines forgets the lines of a text that nobody has.
func clearLines(n *yaml.Node) {
	n.Line, n.Column = 0, 0
	for _, c := range n.Content {
		clearLines(c)
	}
}

func withoutLines(err error) error {
	var problems profile.Problems
	if !errors.As(err, &problems) {
		return err
	}
	for i := range problems {
		problems[i].Line = 0
	}
	return problems
}
