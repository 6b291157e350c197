package review

import (
	"fmt"
	"reflect"
	"slices"
)

// maskSecrets replaces what the Secrets of both sides hold, wherever one stands, also
// in a List. That a value changed is still to be seen; its length and its hash are not.
func maskSecrets(base, head []manifest) {
	was := map[[4]string]map[string]any{}
	for _, m := range base {
		was[m.id()] = m.tree
	}
	for _, m := range head {
		mask(was[m.id()], m.tree)
	}
	for _, m := range base {
		mask(m.tree, nil) // what is there on this side alone
	}
}

// masked are the fields of a Secret that hold something.
func masked() []string { return []string{"data", "stringData"} }

// mask masks two trees that stand at the same place; either may be nil.
func mask(base, head any) {
	b, _ := base.(map[string]any)
	h, _ := head.(map[string]any)
	if b["kind"] == "Secret" || h["kind"] == "Secret" {
		for _, field := range masked() {
			maskValues(b, h, field)
		}
		for _, side := range []map[string]any{b, h} {
			meta, _ := side["metadata"].(map[string]any)
			notes, _ := meta["annotations"].(map[string]any)
			if _, ok := notes["kubectl.kubernetes.io/last-applied-configuration"]; ok { // holds the values too
				notes["kubectl.kubernetes.io/last-applied-configuration"] = "(masked)"
			}
		}
		return
	}
	for key := range b {
		mask(b[key], h[key])
	}
	for key := range h {
		mask(b[key], h[key])
	}
	bs, _ := base.([]any)
	hs, _ := head.([]any)
	for i := range max(len(bs), len(hs)) {
		mask(at(bs, i), at(hs, i))
	}
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func maskValues(base, head map[string]any, field string) {
	b, _ := base[field].(map[string]any)
	h, _ := head[field].(map[string]any)
	if base != nil && base[field] != nil && b == nil {
		base[field] = "(masked)"
	}
	if head != nil && head[field] != nil && h == nil {
		head[field] = "(masked)"
	}
	for key, value := range b {
		other, both := h[key]
		switch {
		case isMask(value):
		case both && !reflect.DeepEqual(value, other):
			b[key], h[key] = mark("before"), mark("after")
		default:
			b[key] = mark("")
			if both {
				h[key] = mark("")
			}
		}
	}
	for key, value := range h {
		if !isMask(value) {
			h[key] = mark("")
		}
	}
}

// secret is a masked value, of a type that no value of YAML has.
type secret string

func mark(when string) secret {
	if when == "" {
		return "(masked)"
	}
	return secret(fmt.Sprintf("(masked, %s)", when))
}

func isMask(v any) bool {
	_, ok := v.(secret)
	return ok
}

// holdsSecret says whether a Secret stands anywhere in a tree.
func holdsSecret(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if v["kind"] == "Secret" {
			return true
		}
		for _, child := range v {
			if holdsSecret(child) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, holdsSecret)
	}
	return false
}
