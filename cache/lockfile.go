package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// maxLock is the size of some thousand entries.
const maxLock = 1 << 20

// UpdateLock writes the entries into the lock file of dir. Entries of other names
// stay as they are, comments too; the list is sorted by name. A select in the file
// stays while the result does: in another result the rank is another configuration's.
// Writers take turns, readers see the old file or the new one, and a lock that says
// the same already is not written.
func UpdateLock(ctx context.Context, dir string, entries []LockEntry) (err error) {
	if len(entries) == 0 {
		return nil
	}
	for _, e := range entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("locking request %q: %w", shorten(e.Name), err)
		}
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := sweep(root, ".", 0); err != nil {
		return err
	}
	file := filepath.Join(dir, LockFile)
	old, err := ReadLock(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		old = []byte("apiVersion: " + lockAPIVersion + "\nkind: " + lockKind + "\nprofiles: []\n")
	}
	data, err := mergeLock(file, old, entries)
	if err != nil || data == nil {
		return err
	}
	if err := writeFile(root, LockFile, data); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return syncDir(root, ".")
}

// ReadLock returns the bytes of the lock file of a directory, for ParseLock. A commit
// may hold anything under that name: what leads out of the directory, and what is no
// regular file, is an error, and of a file that is too large no more is read.
func ReadLock(dir string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	data, err := readFile(root, LockFile, maxLock)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(dir, LockFile), err)
	}
	return data, nil
}

// mergeLock returns the file with the entries in it, nil when it holds them as they are.
func mergeLock(file string, old []byte, entries []LockEntry) ([]byte, error) {
	doc, problems := lockDocument(file, old)
	if len(problems) > 0 {
		return nil, problems
	}
	lock, err := decodeLock(file, doc)
	if err != nil {
		return nil, err
	}
	entries = slices.Clone(entries)
	for i, e := range entries {
		if old, ok := lock.Entry(e.Name); ok && e.Select == 0 && old.Result == e.Result {
			entries[i].Select = old.Select
		}
	}
	byName := func(a, b LockEntry) int { return cmp.Compare(a.Name, b.Name) }
	same := slices.IsSortedFunc(lock.Profiles, byName)
	for _, e := range entries {
		got, _ := lock.Entry(e.Name)
		same = same && got == e
	}
	if same {
		return nil, nil
	}
	editLock(mapValue(doc.Content[0], "profiles"), entries)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(doc), enc.Close()); err != nil {
		return nil, fmt.Errorf("encoding %s: %w", file, err)
	}
	// What cannot be read back is not written, whatever the encoder made of it.
	if _, err := ParseLock(file, b.Bytes()); err != nil {
		return nil, fmt.Errorf("updating lock: %w", err)
	}
	return b.Bytes(), nil
}

func editLock(list *yaml.Node, entries []LockEntry) {
	for _, e := range entries {
		i := slices.IndexFunc(list.Content, func(n *yaml.Node) bool { return mapValue(n, "name").Value == e.Name })
		if i < 0 {
			list.Content = append(list.Content, newEntry(e))
			continue
		}
		for k, field := range entryFields() {
			if n := mapValue(list.Content[i], field); n.Value != e.values()[k] {
				n.Value, n.Tag, n.Style = e.values()[k], "!!str", 0
			}
		}
		setOptional(list.Content[i], e)
	}
	list.Style = 0 // "[]" of an empty list would put every entry on one line
	slices.SortStableFunc(list.Content, func(a, b *yaml.Node) int {
		return cmp.Compare(mapValue(a, "name").Value, mapValue(b, "name").Value)
	})
}

func (e LockEntry) check() error {
	for i, field := range entryFields() {
		value := e.values()[i]
		if value == "" {
			return fmt.Errorf("%s: is empty", field)
		}
		if err := checkEntryField(field, value); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	return nil
}

func newEntry(e LockEntry) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i, field := range entryFields() {
		n.Content = append(n.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: field},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: e.values()[i]})
	}
	setOptional(n, e)
	return n
}

// setOptional gives an entry the fields that it may be without, or takes them away.
func setOptional(entry *yaml.Node, e LockEntry) {
	set(entry, estimateField, "!!bool", "true", e.Estimate)
	set(entry, selectField, "!!int", strconv.Itoa(e.Select), e.Select > 0)
}

func set(entry *yaml.Node, field, tag, value string, wanted bool) {
	have := mapValue(entry, field)
	switch {
	case wanted && have == nil:
		entry.Content = append(entry.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: field},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value})
	case wanted:
		have.Value = value
	case have != nil:
		i := slices.Index(entry.Content, have) // the value, as a name may read like a field
		entry.Content = slices.Delete(entry.Content, i-1, i+1)
	}
}

// mapValue returns the value of a field of a mapping, nil when it has none.
func mapValue(n *yaml.Node, field string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == field {
			return n.Content[i+1]
		}
	}
	return nil
}

// lockDocument parses the one YAML document of a lock file. It has no anchors and
// aliases, so that a reader sees in each entry what it says.
func lockDocument(file string, data []byte) (*yaml.Node, profile.Problems) {
	refuse := func(line int, format string, args ...any) (*yaml.Node, profile.Problems) {
		return nil, profile.Problems{{File: file, Line: line, Message: fmt.Sprintf(format, args...)}}
	}
	switch {
	case len(data) > maxLock:
		return refuse(0, "is larger than %d bytes", maxLock)
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return refuse(0, "is not UTF-8 text")
	}
	if line := conflictLine(data); line > 0 {
		return refuse(line, "holds the markers of a Git merge conflict; take either side, then run dynamo-profile-runner again")
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return refuse(0, "is empty; delete it, then run dynamo-profile-runner again")
	}
	if err != nil {
		line, text := yamlError(err)
		return refuse(line, "%s", text)
	}
	if n := firstAlias(&doc); n != nil {
		return refuse(n.Line, "anchors and aliases are not allowed")
	}
	if err := dec.Decode(&next); err == nil {
		return refuse(next.Line, "a second YAML document is not allowed")
	} else if !errors.Is(err, io.EOF) {
		line, text := yamlError(err)
		return refuse(line, "%s", text)
	}
	return &doc, nil
}

// conflictLine is the line of the first merge conflict marker, 0 without one.
func conflictLine(data []byte) int {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if bytes.HasPrefix(text, []byte("<<<<<<< ")) || bytes.HasPrefix(text, []byte(">>>>>>> ")) {
			return line
		}
	}
	return 0
}

func firstAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return n
	}
	for _, c := range n.Content {
		if found := firstAlias(c); found != nil {
			return found
		}
	}
	return nil
}

// yamlError takes the line out of the parser's message: yaml: line 3: did not find …
func yamlError(err error) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`(?s)^line (\d+): (.*)$`).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	return line, text
}
