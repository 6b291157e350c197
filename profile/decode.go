package profile

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder reads one document and collects everything wrong with it.
type decoder struct {
	file     string
	line     int               // of the document
	lines    map[string]int    // field path as written -> line
	renamed  map[string]string // v1beta1 path -> path as written, where they differ
	problems Problems
	warnings Problems
}

func newDecoder(d Document) *decoder {
	dec := &decoder{file: d.File, line: d.Line, lines: map[string]int{}, renamed: map[string]string{}}
	dec.index("", d.Root)
	return dec
}

// maxPath keeps the index small whatever the file holds.
const maxPath = 512

func (d *decoder) index(path string, n *yaml.Node) {
	if len(path) > maxPath {
		return
	}
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			p := path + "[" + strconv.Itoa(i) + "]"
			d.lines[p] = c.Line
			d.index(p, c)
		case i%2 == 0:
			p := join(path, c.Value)
			d.lines[p] = c.Line
			d.index(p, n.Content[i+1])
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) problem(path, format string, args ...any) {
	d.problems = append(d.problems, d.at(path, fmt.Sprintf(format, args...)))
}

func (d *decoder) warn(path, format string, args ...any) {
	d.warnings = append(d.warnings, d.at(path, fmt.Sprintf(format, args...)))
}

func (d *decoder) at(path, message string) Problem {
	path = written(d.renamed, path)
	return Problem{File: d.file, Line: locate(d.lines, path, d.line), Path: path, Message: message}
}

// has reports whether the file holds a value other than null at a field of the
// path as written.
func (d *decoder) has(path string) bool {
	_, ok := d.lines[written(d.renamed, path)]
	return ok
}

// object is one mapping of the document; close reports the fields nobody took.
type object struct {
	d      *decoder
	path   string
	keys   []*yaml.Node
	values map[string]*yaml.Node
	known  []string
}

// object reads a node as a mapping; a nil or null node is an empty one.
func (d *decoder) object(path string, n *yaml.Node) *object {
	o := &object{d: d, path: path, values: map[string]*yaml.Node{}}
	if isNull(n) {
		return o
	}
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be an object, is %s", describe(n))
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		o.keys = append(o.keys, n.Content[i])
		o.values[n.Content[i].Value] = n.Content[i+1]
	}
	return o
}

// take returns the value of a known field; nil when it is absent or null, as the
// API server prunes nulls.
func (o *object) take(name string) *yaml.Node {
	o.known = append(o.known, name)
	n := o.values[name]
	if isNull(n) {
		delete(o.d.lines, join(o.path, name))
		return nil
	}
	return n
}

// child reads a field that is a mapping itself; false when it is none.
func (o *object) child(name string) (*object, bool) {
	n := o.take(name)
	return o.d.object(join(o.path, name), n), n != nil && n.Kind == yaml.MappingNode
}

// ignore accepts fields of any content.
func (o *object) ignore(names ...string) { o.known = append(o.known, names...) }

// rest is the keys of the fields that nobody took.
func (o *object) rest() []*yaml.Node {
	return slices.DeleteFunc(slices.Clone(o.keys), func(k *yaml.Node) bool { return slices.Contains(o.known, k.Value) })
}

// close reports every unknown field, with the nearest known name.
func (o *object) close() {
	for _, k := range o.rest() {
		message := "unknown field" + DidYouMean(k.Value, o.known)
		o.d.problems = append(o.d.problems, Problem{File: o.d.file, Line: k.Line, Path: join(o.path, cut(k.Value)), Message: message})
	}
}

func (o *object) string(name string) string {
	n := o.take(name)
	if n == nil {
		return ""
	}
	path := join(o.path, name)
	if n.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!str", "!!timestamp"}, n.ShortTag()) {
		remedy := ""
		if n.Kind == yaml.ScalarNode {
			remedy = "; quote it"
		}
		o.d.problem(path, "must be a string, is %s%s", describe(n), remedy)
		return ""
	}
	if ambiguous(n) {
		o.d.warn(path, "%s is read as a string, kubectl reads a boolean; quote it", n.Value)
	}
	return n.Value
}

func (o *object) enum(name string, allowed ...string) string {
	v := o.string(name)
	if v == "" || slices.Contains(allowed, v) {
		return v
	}
	o.d.problem(join(o.path, name), "must be one of %s, is %s%s", strings.Join(allowed, ", "), quote(v), DidYouMean(v, allowed))
	return ""
}

func (o *object) bool(name string) *bool {
	n := o.take(name)
	if n == nil {
		return nil
	}
	v, ok := boolean(n)
	if !ok {
		o.d.problem(join(o.path, name), "must be true or false, is %s", describe(n))
		return nil
	}
	return &v
}

// decimal is a number that YAML 1.1, YAML 1.2 and JSON readers agree on.
var decimal = regexp.MustCompile(`^[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

func (o *object) number(name string) *float64 {
	n := o.take(name)
	if n == nil {
		return nil
	}
	path := join(o.path, name)
	if n.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!int", "!!float"}, n.ShortTag()) {
		o.d.problem(path, "must be a number, is %s", describe(n))
		return nil
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || !decimal.MatchString(n.Value) || math.IsInf(f, 0) || math.IsNaN(f) {
		o.d.problem(path, "must be a finite decimal number, is %s", quote(n.Value))
		return nil
	}
	return &f
}

func (o *object) int32(name string) *int {
	f := o.number(name)
	if f == nil {
		return nil
	}
	if *f != math.Trunc(*f) || *f < math.MinInt32 || *f > math.MaxInt32 {
		o.d.problem(join(o.path, name), "must be a whole number of 32 bits, is %s", formatNumber(*f))
		return nil
	}
	v := int(*f)
	return &v
}

func (o *object) stringMap(name string) map[string]string {
	c, ok := o.child(name)
	if !ok {
		return nil
	}
	m := make(map[string]string, len(c.keys))
	for _, k := range c.keys {
		m[k.Value] = c.string(k.Value)
	}
	return m
}

// tree returns an object as JSON values, whatever its fields; nil when absent.
func (o *object) tree(name string) map[string]any {
	n := o.take(name)
	if n == nil {
		return nil
	}
	path := join(o.path, name)
	if n.Kind != yaml.MappingNode {
		o.d.problem(path, "must be an object, is %s", describe(n))
		return nil
	}
	m, _ := o.d.jsonTree(path, n).(map[string]any)
	return m
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "null"
	case "!!str":
		return "the string " + quote(n.Value)
	case "!!bool":
		return "the boolean " + n.Value
	case "!!int", "!!float":
		return "the number " + cut(n.Value)
	}
	return quote(n.Value)
}
