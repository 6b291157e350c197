package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// policy is what a team demands of every locked result. Zero values demand nothing.
type policy struct {
	confidences      []string
	backends         []string
	requireSignature bool
	maxAge           time.Duration
}

// The identity and the demands of a policy file.
const policyKind = "Policy"

func policyFields() []string {
	return []string{"apiVersion", "kind", "confidences", "backends", "requireSignature", "maxAge"}
}

// readPolicy reads a policy file; without a name, a policy without demands.
func readPolicy(file string) (policy, error) {
	if file == "" {
		return policy{}, nil
	}
	data, err := render.ReadFile(file)
	if err != nil {
		return policy{}, &codedError{exitInput, fmt.Errorf("--policy: %w", err)}
	}
	return parsePolicy(file, data)
}

// parsePolicy decodes strictly: a demand that is misspelt would be one that nobody
// enforces. Its error is a profile.Problems.
func parsePolicy(file string, data []byte) (policy, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return policy{}, profile.Problems{{File: file, Message: "is empty"}}
	} else if err != nil {
		line, text := yamlProblem(err)
		return policy{}, profile.Problems{{File: file, Line: line, Message: text}}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return policy{}, profile.Problems{{File: file, Message: "holds more than one YAML document"}}
	}
	d := policyDecoder{file: file}
	p := d.policy(doc.Content[0])
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b profile.Problem) int { return cmp.Compare(a.Line, b.Line) })
		return policy{}, d.problems
	}
	return p, nil
}

// yamlProblem takes the line out of the parser's message: yaml: line 3: did not …
func yamlProblem(err error) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`(?s)^line (\d+): (.*)$`).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	return line, text
}

// policyDecoder turns YAML into a policy and collects what is wrong with it.
type policyDecoder struct {
	file     string
	problems profile.Problems
}

func (d *policyDecoder) problem(n *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, profile.Problem{File: d.file, Line: n.Line, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (d *policyDecoder) policy(root *yaml.Node) policy {
	var p policy
	if root.Kind != yaml.MappingNode {
		d.problem(root, "", "must be a mapping with the fields %s", strings.Join(policyFields(), ", "))
		return p
	}
	fields := map[string]*yaml.Node{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		switch {
		case !slices.Contains(policyFields(), key.Value):
			d.problem(key, clip(key.Value, 100), "unknown field, want one of %s", strings.Join(policyFields(), ", "))
		case fields[key.Value] != nil:
			d.problem(key, key.Value, "is given twice")
		default:
			fields[key.Value] = root.Content[i+1]
		}
	}
	d.constant(root, fields, "apiVersion", "dynamo-cmp.github.io/v1")
	d.constant(root, fields, "kind", policyKind)
	var confidences []string
	for _, c := range profile.Confidences() {
		confidences = append(confidences, string(c))
	}
	backends := []string{string(profile.BackendVLLM), string(profile.BackendSGLang), string(profile.BackendTRTLLM)}
	p.confidences = d.list(fields["confidences"], "confidences", confidences)
	p.backends = d.list(fields["backends"], "backends", backends)
	if n := fields["requireSignature"]; n != nil {
		if n.ShortTag() != "!!bool" || n.Decode(&p.requireSignature) != nil {
			d.problem(n, "requireSignature", "must be true or false")
		}
	}
	if n := fields["maxAge"]; n != nil {
		age, err := parseAge(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			d.problem(n, "maxAge", "is %q, want a positive number of days or hours, such as 90d or 36h", clip(n.Value, 100))
		}
		p.maxAge = age
	}
	return p
}

func (d *policyDecoder) constant(root *yaml.Node, fields map[string]*yaml.Node, name, want string) {
	switch n := fields[name]; {
	case n == nil:
		d.problem(root, name, "is missing, want %s", want)
	case n.Kind != yaml.ScalarNode || n.Value != want:
		d.problem(n, name, "is %q, this version reads %q", clip(n.Value, 100), want)
	}
}

// list is a list of known words; nil where the field is missing.
func (d *policyDecoder) list(n *yaml.Node, name string, known []string) []string {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		d.problem(n, name, "must be a list of %s; to demand nothing, leave it out", strings.Join(known, ", "))
		return nil
	}
	var words []string
	for i, item := range n.Content {
		if item.Kind != yaml.ScalarNode || !slices.Contains(known, item.Value) {
			d.problem(item, fmt.Sprintf("%s[%d]", name, i), "is %q, want one of %s", clip(item.Value, 100), strings.Join(known, ", "))
			continue
		}
		words = append(words, item.Value)
	}
	return words
}

// parseAge reads 90d, or a duration as Go writes it.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 36500 {
			return 0, errors.New("no number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	age, err := time.ParseDuration(s)
	if err == nil && age <= 0 {
		err = errors.New("not positive")
	}
	return age, err
}
