package cache

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// LockFile is the name of the lock beside the DGDR files. It has no YAML ending, so
// that nothing applies it by accident.
const LockFile = "dynamo.lock"

// The identity of a lock file.
const (
	lockAPIVersion = "dynamo-cmp.github.io/v1"
	lockKind       = "ProfileLock"
)

// Lock is the content of a lock file: which result each request renders with.
type Lock struct {
	Profiles []LockEntry // in the order of the file; names are unique
}

// LockEntry pins the result of one request.
type LockEntry struct {
	Name       string // of the request
	Key        profile.Key
	Result     Digest
	Confidence profile.Confidence
	Profiler   string // tool and version that made the result
	// Estimate says that the result is a simulated one of a request that asks for a
	// measurement: it renders until that lands, and has the key of the same request
	// with searchStrategy rapid.
	Estimate bool
	// Select chooses the configuration of the result that renders: 1 is its pick, 2
	// the first of its alternatives; 0, for an entry without it, is the pick too.
	Select int
}

// Entry returns the entry of the request of that name, if the lock has one.
func (l *Lock) Entry(name string) (LockEntry, bool) {
	for _, e := range l.Profiles {
		if e.Name == name {
			return e, true
		}
	}
	return LockEntry{}, false
}

// ParseLock reads a lock file strictly. Its error is a profile.Problems with every
// problem of the file.
func ParseLock(file string, data []byte) (*Lock, error) {
	doc, problems := lockDocument(file, data)
	if len(problems) > 0 {
		return nil, problems
	}
	return decodeLock(file, doc)
}

func decodeLock(file string, doc *yaml.Node) (*Lock, error) {
	d := lockDecoder{file: file}
	lock := d.lock(doc.Content[0])
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b profile.Problem) int { return a.Line - b.Line })
		return nil, d.problems
	}
	return lock, nil
}

// maxLockProblems is how many problems of one file are worth reading.
const maxLockProblems = 50

// lockDecoder turns YAML nodes into a Lock and collects what is wrong with them.
type lockDecoder struct {
	file     string
	problems profile.Problems
}

func (d *lockDecoder) problem(n *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, profile.Problem{File: d.file, Line: n.Line, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (d *lockDecoder) lock(root *yaml.Node) *Lock {
	fields := d.mapping(root, "", "apiVersion", "kind", "profiles")
	if fields == nil {
		return nil
	}
	d.constant(fields, "apiVersion", lockAPIVersion, root)
	d.constant(fields, "kind", lockKind, root)
	lock := &Lock{}
	list := fields["profiles"]
	if list == nil {
		d.problem(root, "profiles", "is missing")
		return lock
	}
	if list.Kind != yaml.SequenceNode {
		d.problem(list, "profiles", "must be a list")
		return lock
	}
	lines := map[string]int{}
	for i, item := range list.Content {
		if len(d.problems) >= maxLockProblems {
			d.problem(item, "profiles", "has more problems")
			break
		}
		path := fmt.Sprintf("profiles[%d]", i)
		e := d.entry(item, path)
		if first, ok := lines[e.Name]; ok && e.Name != "" {
			d.problem(item, path+".name", "%q is locked in line %d already", e.Name, first)
			continue
		}
		lines[e.Name] = item.Line
		lock.Profiles = append(lock.Profiles, e)
	}
	return lock
}

func (d *lockDecoder) constant(fields map[string]*yaml.Node, field, want string, root *yaml.Node) {
	if got := d.text(fields, field, root, ""); got != "" && got != want {
		d.problem(fields[field], field, "is %q, this version reads %q", shorten(got), want)
	}
}

func (d *lockDecoder) entry(item *yaml.Node, path string) LockEntry {
	fields := d.mapping(item, path, append(entryFields(), estimateField, selectField)...)
	if fields == nil {
		return LockEntry{}
	}
	var values []string
	for _, field := range entryFields() {
		value := d.text(fields, field, item, path)
		if value != "" {
			if err := checkEntryField(field, value); err != nil {
				d.problem(fields[field], path+"."+field, "%s", err)
			}
		}
		values = append(values, value)
	}
	e := LockEntry{values[0], profile.Key(values[1]), Digest(values[2]), profile.Confidence(values[3]), values[4], false, 0}
	if n := fields[estimateField]; n != nil {
		e.Estimate = n.ShortTag() == "!!bool" && n.Value == "true"
		if !e.Estimate {
			d.problem(n, path+"."+estimateField, "is true or absent")
		}
	}
	if n := fields[selectField]; n != nil {
		var err error
		if e.Select, err = strconv.Atoi(n.Value); err != nil || n.ShortTag() != "!!int" || e.Select < 1 {
			d.problem(n, path+"."+selectField, "is the rank of a configuration: 1 for the pick, 2 for the runner-up")
		}
	}
	return e
}

// The fields that an entry may be without.
const (
	estimateField = "estimate"
	selectField   = "select"
)

// entryFields are those that every entry has, in their order in the file.
func entryFields() []string {
	return []string{"name", "key", "result", "confidence", "profiler"}
}

// values are the entry's fields in that order.
func (e LockEntry) values() []string {
	return []string{e.Name, string(e.Key), string(e.Result), string(e.Confidence), e.Profiler}
}

// maxLine bounds a name and a profiler, in bytes.
const maxLine = 253

func checkEntryField(field, value string) error {
	switch field {
	case "key", "result": // both are a SHA-256
		_, err := ParseDigest(value)
		return err
	case "confidence":
		if !slices.Contains(profile.Confidences(), profile.Confidence(value)) {
			return fmt.Errorf("%q is none of %q", shorten(value), profile.Confidences())
		}
	default:
		if len(value) > maxLine || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("%q is not a line of at most %d bytes", shorten(value), maxLine)
		}
	}
	return nil
}

// mapping returns the fields of a mapping, nil when the node is none.
func (d *lockDecoder) mapping(n *yaml.Node, path string, known ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "must be a mapping with the fields %s", strings.Join(known, ", "))
		return nil
	}
	fields := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := strings.TrimPrefix(path+"."+shorten(key.Value), ".")
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			d.problem(key, at, "unknown field")
		case fields[key.Value] != nil:
			d.problem(key, at, "is given twice")
		default:
			fields[key.Value] = n.Content[i+1]
		}
	}
	return fields
}

// text returns a field that must be a non-empty string, or the empty string.
func (d *lockDecoder) text(fields map[string]*yaml.Node, field string, parent *yaml.Node, path string) string {
	at := strings.TrimPrefix(path+"."+field, ".")
	n := fields[field]
	switch {
	case n == nil:
		d.problem(parent, at, "is missing")
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
		d.problem(n, at, "must be a string")
	case n.Value == "":
		d.problem(n, at, "is empty")
	default:
		return n.Value
	}
	return ""
}
