package review

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// FieldChange is a field that differs. A value is a string as it is, and anything else
// its JSON; nil is a field that is not there.
type FieldChange struct {
	Path string  `json:"path"` // spec.components[Frontend].replicas; a flag stands behind its list: args --max-num-seqs
	Base *string `json:"base"`
	Head *string `json:"head"`
}

// compareTrees lists the fields that differ, in the order of their paths' keys. Lists
// are compared by name where each of their objects has one, and command lines by flag.
func compareTrees(base, head any) []FieldChange {
	c := comparison{out: []FieldChange{}}
	c.value("", base, head)
	return c.out
}

type comparison struct {
	out []FieldChange
}

func (c *comparison) add(path string, base, head any) {
	c.out = append(c.out, FieldChange{path, shown(base), shown(head)})
}

// shown is nil for nil, which YAML's null is too: to the API server that is absent.
func shown(v any) *string {
	var text string
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		text = v
	case secret:
		text = string(v)
	default:
		data, err := json.Marshal(v)
		text = string(data)
		if err != nil {
			text = fmt.Sprint(v)
		}
	}
	return &text
}

func (c *comparison) value(path string, base, head any) {
	if reflect.DeepEqual(base, head) {
		return
	}
	switch b := base.(type) {
	case map[string]any:
		if h, ok := head.(map[string]any); ok {
			c.object(path, b, h)
			return
		}
	case []any:
		if h, ok := head.([]any); ok {
			c.list(path, b, h)
			return
		}
	case string:
		bt, ht := document(b), document(head)
		if bt != nil && ht != nil {
			c.object(path, bt, ht)
			return
		}
	}
	c.add(path, base, head)
}

// document is a string that holds a JSON object, such as a planner's configuration.
func document(v any) map[string]any {
	s, ok := v.(string)
	if !ok || !strings.HasPrefix(s, "{") {
		return nil
	}
	var tree map[string]any
	if json.Unmarshal([]byte(s), &tree) != nil {
		return nil
	}
	return tree
}

func (c *comparison) object(path string, base, head map[string]any) {
	keys := maps.Clone(base)
	maps.Copy(keys, head)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		c.value(join(path, key), base[key], head[key])
	}
}

var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func join(path, key string) string {
	switch {
	case !plain.MatchString(key):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

func (c *comparison) list(path string, base, head []any) {
	bn, ok := byName(base)
	hn, also := byName(head)
	if ok && also {
		var names []string
		for _, item := range slices.Concat(base, head) {
			if name := nameOf(item); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		for _, name := range names {
			c.value(fmt.Sprintf("%s[%s]", path, name), bn[name], hn[name])
		}
		return
	}
	bf, some, ok := flags(base)
	hf, others, also := flags(head)
	if ok && also && (some || others) {
		both := maps.Clone(bf)
		maps.Copy(both, hf)
		for _, flag := range slices.Sorted(maps.Keys(both)) {
			c.value(strings.TrimSpace(path+" "+flag), bf[flag], hf[flag])
		}
		return
	}
	for i := range max(len(base), len(head)) {
		c.value(fmt.Sprintf("%s[%d]", path, i), at(base, i), at(head, i))
	}
}

func nameOf(item any) string {
	tree, _ := item.(map[string]any)
	name, _ := tree["name"].(string)
	return name
}

// byName is a list of objects by their names, where all have one of their own.
func byName(list []any) (map[string]any, bool) {
	named := map[string]any{}
	for _, item := range list {
		name := nameOf(item)
		if _, twice := named[name]; name == "" || twice {
			return nil, false
		}
		named[name] = item
	}
	return named, true
}

// flags is a command line by flag, what stands before the first under "", and whether
// it has one. It is not ok where a flag is given twice: then it is a list like any other.
func flags(list []any) (out map[string]any, some, ok bool) {
	values := map[string][]string{}
	flag := ""
	for _, item := range list {
		word, ok := item.(string)
		if !ok {
			return nil, false, false
		}
		if !strings.HasPrefix(word, "--") {
			values[flag] = append(values[flag], word)
			continue
		}
		name, value, joined := strings.Cut(word, "=")
		if _, twice := values[name]; twice {
			return nil, false, false
		}
		flag, some = name, true
		values[flag] = []string{}
		if joined {
			values[flag] = []string{value}
		}
	}
	out = map[string]any{}
	for name, words := range values {
		out[name] = strings.Join(words, " ")
		if len(words) == 0 {
			out[name] = "(set)"
		}
	}
	return out, some, true
}
