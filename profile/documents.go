package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of one file. They lie far above what a repository holds and keep the
// cost of the worst file under a second and 200 MB.
const (
	maxFileBytes = 4 << 20
	maxTokens    = 250_000 // separators in the text, an upper bound of its values
	maxExpansion = 100_000 // values that aliases and merge keys may add
	maxDepth     = 100
)

// Document is one YAML document of a file. Aliases and merge keys of Root are
// resolved, its mapping keys are unique strings, and its depth is bounded.
type Document struct {
	File        string // as the caller named it
	Index, Line int    // 0-based position in the file, without the empty documents; 1-based line
	APIVersion  string
	Kind        string
	Namespace   string
	Name        string
	Root        *yaml.Node // never an alias or a document node
}

// requestKind is the kind that Parse reads.
const requestKind = "DynamoGraphDeploymentRequest"

// IsRequest reports whether the document is a DynamoGraphDeploymentRequest of
// group nvidia.com, in whichever version.
func (d Document) IsRequest() bool {
	group, _, _ := strings.Cut(d.APIVersion, "/")
	return d.Kind == requestKind && group == "nvidia.com"
}

// Documents returns the YAML documents of a file in their order, without the
// empty ones; JSON is YAML. The error is a Problems.
func Documents(file string, data []byte) ([]Document, error) {
	if p := refuseBytes(data); p != nil {
		p.File = file
		return nil, Problems{*p}
	}
	var docs []Document
	var problems Problems
	dec := yaml.NewDecoder(bytes.NewReader(data))
	t := &tree{file: file}
	for !t.full {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			problems = append(problems, syntaxProblem(file, data, err))
			break
		}
		root := node.Content[0]
		if isNull(root) {
			continue
		}
		root = t.resolve(root)
		if len(t.problems) == 0 {
			docs = append(docs, newDocument(file, len(docs), root))
		}
	}
	problems = append(t.problems, problems...)
	for _, d := range docs {
		problems = append(problems, d.nestedRequests()...)
	}
	if len(problems) > 0 {
		return nil, problems.sorted()
	}
	return docs, nil
}

// refuseBytes looks at the bytes before any parser does.
func refuseBytes(data []byte) *Problem {
	if len(data) > maxFileBytes {
		return &Problem{Message: fmt.Sprintf("is %d bytes, more than the %d allowed", len(data), maxFileBytes)}
	}
	if !utf8.Valid(data) {
		return &Problem{Message: "is binary: not UTF-8 text"}
	}
	if i := bytes.IndexFunc(data, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }); i >= 0 {
		return &Problem{Line: 1 + bytes.Count(data[:i], []byte("\n")), Message: fmt.Sprintf("is binary: holds byte %#02x", data[i])}
	}
	tokens := 0
	for _, c := range data {
		switch c {
		case '\n', ',', '[', '{', '-', ':', '?':
			tokens++
		}
	}
	if tokens > maxTokens && denseTokens(data) > maxTokens {
		return &Problem{Message: fmt.Sprintf("holds more than the %d values allowed", maxTokens)}
	}
	return nil
}

// denseTokens counts the separators that can begin a value: of block style only
// where white space follows, so that prose and names do not count.
func denseTokens(data []byte) int {
	tokens := 0
	for i, c := range data {
		switch c {
		case '\n', ',', '[', '{':
			tokens++
		case '-', ':', '?':
			if i+1 < len(data) && (data[i+1] == ' ' || data[i+1] == '\t') {
				tokens++
			}
		}
	}
	return tokens
}

func newDocument(file string, index int, root *yaml.Node) Document {
	d := Document{File: file, Index: index, Line: root.Line, Root: root}
	d.APIVersion = scalarAt(root, "apiVersion")
	d.Kind = scalarAt(root, "kind")
	d.Namespace = scalarAt(root, "metadata", "namespace")
	d.Name = scalarAt(root, "metadata", "name")
	return d
}

// nestedRequests refuses a DGDR inside a List: it would pass by unseen.
func (d Document) nestedRequests() Problems {
	if d.Kind != "List" {
		return nil
	}
	items := valueAt(d.Root, "items")
	if items == nil || items.Kind != yaml.SequenceNode {
		return nil
	}
	var problems Problems
	for i, item := range items.Content {
		if newDocument(d.File, 0, item).IsRequest() {
			problems = append(problems, Problem{File: d.File, Line: item.Line, Path: fmt.Sprintf("items[%d]", i),
				Message: "a " + requestKind + " inside a List is not read; write it as a document of its own"})
		}
	}
	return problems
}

// yamlMessage takes the parser's message apart.
var yamlMessage = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// countedFromZero are the messages whose line the parser gives from zero; those
// of its scanner are right, and no line at all means the first.
var countedFromZero = regexp.MustCompile(`^did not find expected (key|node content|',' or|'-' indicator|<)|^found (undefined tag|duplicate|incompatible)`)

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)

func syntaxProblem(file string, data []byte, err error) Problem {
	m := yamlMessage.FindStringSubmatch(err.Error())
	if m == nil {
		return Problem{File: file, Message: "not valid YAML: " + err.Error()}
	}
	p := Problem{File: file, Line: 1, Message: "not valid YAML: " + m[2]}
	if line, err := strconv.Atoi(m[1]); err == nil {
		p.Line = line
	}
	if m[1] != "" && countedFromZero.MatchString(m[2]) {
		p.Line++
	}
	if a := unknownAnchor.FindStringSubmatch(m[2]); a != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+a[1]))
		p.Line = 1 + bytes.Count(before, []byte("\n"))
	}
	lines := bytes.SplitN(data, []byte("\n"), p.Line+1)
	at := strings.TrimLeft(string(lines[min(p.Line, len(lines))-1]), " ")
	switch {
	case strings.HasPrefix(at, "\t"):
		p.Message = "not valid YAML: a tab indents this line, only spaces may"
	case strings.HasPrefix(m[2], "found incompatible"):
		p.Message = "a %YAML directive other than 1.1 is not supported; remove it"
	}
	return p
}

// isNull reports whether a node is absent or an explicit null.
func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// valueAt walks mapping keys and returns nil where one is missing.
func valueAt(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				found = n.Content[i+1]
			}
		}
		n = found
	}
	return n
}

func scalarAt(n *yaml.Node, keys ...string) string {
	v := valueAt(n, keys...)
	if isNull(v) || v.Kind != yaml.ScalarNode {
		return ""
	}
	return v.Value
}
