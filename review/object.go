package review

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ObjectChange is a Kubernetes object that differs.
type ObjectChange struct {
	Kind      string        `json:"kind"`
	Namespace string        `json:"namespace,omitempty"`
	Name      string        `json:"name"`
	Was       string        `json:"was,omitempty"` // its name, where only that and what follows from it is new
	Status    string        `json:"status"`
	Fields    []FieldChange `json:"fields"` // none of an object that is on one side alone
	Base      string        `json:"-"`      // its YAML, secrets masked; empty where it is not there
	Head      string        `json:"-"`
}

// manifest is an object of one side.
type manifest struct {
	group, kind, namespace, name string

	tree map[string]any
	text string
}

// objectsOf takes a stream apart. What secrets hold stays behind.
func objectsOf(stream []byte) ([]manifest, error) {
	var out []manifest
	// A separator is at the left margin, where no line of a value is.
	for chunk := range bytes.SplitSeq(stream, []byte("\n---\n")) {
		var tree map[string]any
		if err := yaml.Unmarshal(chunk, &tree); err != nil {
			return nil, err
		}
		if tree == nil {
			continue
		}
		tree, _ = plainTree(tree).(map[string]any)
		meta, _ := tree["metadata"].(map[string]any)
		m := manifest{tree: tree, text: strings.TrimSuffix(string(chunk), "\n") + "\n"}
		m.group, _ = tree["apiVersion"].(string)
		m.group, _, _ = strings.Cut(m.group, "/")
		m.kind, _ = tree["kind"].(string)
		m.namespace, _ = meta["namespace"].(string)
		m.name, _ = meta["name"].(string)
		if m.name == "" {
			m.name, _ = meta["generateName"].(string)
		}
		out = append(out, m)
	}
	return out, nil
}

func (m manifest) id() [4]string { return [4]string{m.group, m.kind, m.namespace, m.name} }

// compareObjects pairs objects by identity and then, among what is left, by the name
// without the hash of the content at its end and with the new names of requests.
func compareObjects(base, head []manifest, renamed map[string]string) []ObjectChange {
	maskSecrets(base, head)
	out := []ObjectChange{}
	left := slices.Clone(base)
	var fresh []manifest
	take := func(match func(manifest) bool) (manifest, bool) {
		i := slices.IndexFunc(left, match)
		if i < 0 {
			return manifest{}, false
		}
		m := left[i]
		left = slices.Delete(left, i, i+1)
		return m, true
	}
	for _, h := range head {
		b, ok := take(func(m manifest) bool { return m.id() == h.id() })
		if !ok {
			fresh = append(fresh, h)
			continue
		}
		if fields := compareTrees(b.tree, h.tree); len(fields) > 0 {
			out = append(out, changeOf(h, Changed, fields, &b, &h))
		}
	}
	for _, h := range fresh {
		b, ok := take(func(m manifest) bool {
			return m.group == h.group && m.kind == h.kind && m.namespace == h.namespace && succeeds(m.name, h.name, renamed)
		})
		if !ok {
			out = append(out, changeOf(h, Added, []FieldChange{}, nil, &h))
			continue
		}
		change := changeOf(h, Renamed, compareTrees(b.tree, h.tree), &b, &h)
		change.Was = b.name
		out = append(out, change)
	}
	for _, b := range left {
		out = append(out, changeOf(b, Removed, []FieldChange{}, &b, nil))
	}
	slices.SortStableFunc(out, func(a, b ObjectChange) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// succeeds says whether an object of one name takes the place of another.
func succeeds(was, now string, renamed map[string]string) bool {
	if stem := unhashed(was); stem != "" && stem == unhashed(now) {
		return true
	}
	for old, name := range renamed {
		if rest, ok := strings.CutPrefix(was, old); ok {
			if next := name + rest; next == now || unhashed(next) != "" && unhashed(next) == unhashed(now) {
				return true
			}
		}
	}
	return false
}

func changeOf(m manifest, status string, fields []FieldChange, base, head *manifest) ObjectChange {
	c := ObjectChange{Kind: m.kind, Namespace: m.namespace, Name: m.name, Status: status, Fields: fields}
	if base != nil {
		c.Base = base.yaml()
	}
	if head != nil {
		c.Head = head.yaml()
	}
	return c
}

// yaml is the object as it is rendered, and encoded anew where that would show a secret.
func (m manifest) yaml() string {
	if !holdsSecret(m.tree) {
		return m.text
	}
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if enc.Encode(m.tree) != nil || enc.Close() != nil {
		return ""
	}
	return b.String()
}

// unhashed is a name without a last part that can be the hash of a content, as
// kustomize (ten of bcdfghkmt2456789) and dynamo-cmp (ten hexadecimal digits) make it;
// "" where it has none.
func unhashed(name string) string {
	i := strings.LastIndexByte(name, '-')
	if i < 1 || len(name)-i-1 != 10 || strings.Trim(name[i+1:], "0123456789abcdefghkmt") != "" {
		return ""
	}
	return name[:i]
}

// plainTree has the types of render's trees: whole numbers are int64, keys strings.
func plainTree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			v[key] = plainTree(child)
		}
	case map[any]any:
		tree := map[string]any{}
		for key, child := range v {
			tree[fmt.Sprint(key)] = plainTree(child)
		}
		return tree
	case []any:
		for i := range v {
			v[i] = plainTree(v[i])
		}
	case int:
		return int64(v)
	}
	return v
}
