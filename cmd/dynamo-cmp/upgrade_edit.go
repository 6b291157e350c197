package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// dynamoImages are the names, without their paths, of the images of a Dynamo release
// that manifests hold.
func dynamoImages() []string {
	return []string{"dynamo-frontend", "dynamo-planner", "sglang-runtime", "tensorrtllm-runtime", "vllm-runtime"}
}

// releaseTag is the tag of a release: a v or none, the version, and a variant such as
// -cuda13, or what comes before or after a release.
var releaseTag = regexp.MustCompile(`^([vV]?)([0-9]+\.[0-9]+\.[0-9]+)(-.+)?$`)

// unreleased are the tags of no release; a move to one drops them.
var unreleased = regexp.MustCompile(`^-(alpha|beta|dev|post|rc)`)

// edit replaces text of a file at a line and a column, both from 1, the latter in
// characters. An empty old text is an insertion.
type edit struct {
	line, column int
	block        bool // the column counts from the line's first character that is no space
	old, now     string
}

// mover finds where YAML says the version of Dynamo, in DGDRs and in what patches or
// surrounds them.
type mover struct {
	to    string // X.Y.Z
	edits []edit
	done  map[*yaml.Node]bool
}

// moved are the edits that move every version of Dynamo in a file.
func moved(data []byte, to string) ([]edit, error) {
	m := &mover{to: to, done: map[*yaml.Node]bool{}}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return m.edits, nil
		}
		if err != nil {
			return nil, err
		}
		m.request(doc.Content[0])
		m.walk(&doc)
	}
}

// set edits a scalar.
func (m *mover) set(n *yaml.Node, now string) {
	m.done[n] = true
	if n.Value != now {
		m.edits = append(m.edits, edit{line: n.Line, column: n.Column, old: n.Value, now: now})
	}
}

// request moves the images of a DGDR or of a patch of one. Whatever their name, the
// engines' are made of it. A tag beside an override that says another version is not
// Dynamo's.
func (m *mover) request(root *yaml.Node) {
	kind, spec := child(root, "kind"), child(root, "spec")
	if kind == nil || kind.Value != "DynamoGraphDeploymentRequest" || spec == nil {
		return
	}
	override := child(spec, "runtimeVersionOverride")
	for _, image := range []*yaml.Node{child(spec, "image"), child(child(spec, "profilingConfig"), "profilerImage"), child(child(spec, "deploymentOverrides"), "workersImage")} {
		if image == nil || image.Kind != yaml.ScalarNode {
			continue
		}
		m.done[image] = true
		_, tag := splitImage(image.Value)
		version := releaseTag.FindStringSubmatch(tag)
		if version != nil && (override == nil || override.Value == version[2]) {
			m.image(image)
		}
	}
}

func (m *mover) walk(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			m.scalar("", c, n)
			m.walk(c)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		m.scalar(n.Content[i].Value, n.Content[i+1], n)
		m.walk(n.Content[i+1])
	}
}

// scalar moves the version that the value of a key says, where it says one.
func (m *mover) scalar(key string, n, in *yaml.Node) {
	if n.Kind != yaml.ScalarNode || m.done[n] {
		return
	}
	if pointer := child(in, "path"); key == "value" && pointer != nil { // of an operation of a JSON patch
		key = path.Base(pointer.Value)
	}
	name, _ := splitImage(n.Value)
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		m.inner(n)
	case key == "runtimeVersionOverride" && releaseTag.MatchString(n.Value):
		m.set(n, m.to)
	case key == "dynamoVersion":
		m.set(n, minor(m.to))
	case key == "newTag" && (ours(child(in, "newName")) || child(in, "newName") == nil && ours(child(in, "name"))):
		m.set(n, moveTag(n.Value, m.to))
	case slices.Contains(dynamoImages(), path.Base(name)):
		m.image(n)
	}
}

// inner moves what YAML in a block says, such as a patch in a kustomization.
func (m *mover) inner(n *yaml.Node) {
	edits, err := moved([]byte(n.Value), m.to)
	if err != nil {
		return // no YAML: a script
	}
	lines := strings.Split(n.Value, "\n")
	for _, e := range edits {
		if !e.block { // the file alone says by how much the block is indented
			e.column -= indent(lines[e.line-1])
			e.block = true
		}
		e.line += n.Line
		m.edits = append(m.edits, e)
	}
}

func (m *mover) image(n *yaml.Node) {
	name, tag := splitImage(n.Value)
	if tag != "" && !strings.Contains(tag, "@") {
		m.set(n, name+":"+moveTag(tag, m.to))
	}
}

func indent(line string) int {
	return len(line) - len(strings.TrimLeft(line, " "))
}

// moveTag is a tag of another release; one that is none stays.
func moveTag(tag, to string) string {
	v := releaseTag.FindStringSubmatch(tag)
	if v == nil {
		return tag
	}
	if unreleased.MatchString(v[3]) {
		v[3] = ""
	}
	return v[1] + to + v[3]
}

func splitImage(ref string) (name, tag string) {
	slash := strings.LastIndex(ref, "/") + 1
	last, tag, _ := strings.Cut(ref[slash:], ":")
	return ref[:slash] + last, tag
}

func ours(n *yaml.Node) bool {
	return n != nil && slices.Contains(dynamoImages(), path.Base(n.Value))
}

// minor is 1.5 of 1.5.1.
func minor(version string) string {
	return version[:strings.LastIndex(version, ".")]
}

// named is the edit that gives the DGDR at a line of a file an image.
func named(data []byte, line int, image string) (edit, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return edit{}, false
		}
		root := doc.Content[0]
		spec := child(root, "spec")
		if root.Line != line || spec == nil || len(spec.Content) == 0 || child(spec, "image") != nil {
			continue
		}
		first := spec.Content[0]
		text := "image: " + image + "\n" + strings.Repeat(" ", first.Column-1)
		if spec.Style&yaml.FlowStyle != 0 { // JSON as well
			text = fmt.Sprintf("%q: %q, ", "image", image)
		}
		return edit{line: first.Line, column: first.Column, now: text}, true
	}
}

// applied is a file with the edits, which change nothing but what they replace.
func applied(data []byte, edits []edit) ([]byte, error) {
	lines := strings.SplitAfter(string(data), "\n")
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return b.line*1e6 + b.column - a.line*1e6 - a.column }) // from the end
	for _, e := range edits {
		text := lines[e.line-1]
		at := 0
		if e.block {
			at = indent(text)
		}
		for range e.column - 1 {
			_, size := utf8.DecodeRuneInString(text[at:])
			at += size
		}
		found := strings.Index(text[at:], e.old)
		if found < 0 {
			return nil, fmt.Errorf("line %d: %q is written over several lines, or in escapes; change it by hand", e.line, e.old)
		}
		at += found
		lines[e.line-1] = text[:at] + e.now + text[at+len(e.old):]
	}
	return []byte(strings.Join(lines, "")), nil
}
