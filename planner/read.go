package planner

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// maxInteger is the largest whole number that JSON readers keep exact.
const maxInteger = 1 << 53

// maxShown is how much of an author's text a message repeats, in bytes.
const maxShown = 64

// reader walks a configuration and notes everything wrong with it.
type reader struct {
	req      *profile.Request
	problems profile.Problems
}

func (r *reader) problem(path, format string, args ...any) {
	r.problems = append(r.problems, r.req.Problem(path, fmt.Sprintf(format, args...)))
}

// contents is one object as read.
type contents struct {
	values   map[string]any    // canonical name -> value that is right
	wrong    map[string]bool   // canonical names of the values that are not
	spelling map[string]string // canonical name -> as written
}

// object sorts the fields of an object and notes everything wrong with them.
func (r *reader) object(path string, fields []field, in map[string]any) contents {
	c := contents{values: map[string]any{}, wrong: map[string]bool{}, spelling: map[string]string{}}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		at := path + "." + shown(key)
		f, ok := find(fields, key)
		if !ok {
			r.problem(at, "%s", unknown(key, fields))
			continue
		}
		if before, ok := c.spelling[f.name]; ok {
			r.problem(at, "is another name for %s, which is set too; keep one", before)
			c.wrong[f.name] = true
			continue
		}
		c.spelling[f.name] = key
		if value, ok := r.value(at, f, in[key]); ok {
			c.values[f.name] = value
		} else {
			c.wrong[f.name] = true
		}
	}
	for _, f := range fields {
		if _, ok := c.spelling[f.name]; !ok && f.required {
			r.problem(path+"."+f.name, "is required")
		}
	}
	return c
}

func (r *reader) value(path string, f field, v any) (any, bool) {
	if v == nil {
		if !f.null {
			r.problem(path, "must not be null")
		}
		return nil, f.null
	}
	before := len(r.problems)
	switch f.kind {
	case object:
		m, ok := v.(map[string]any)
		if !ok {
			return r.mistyped(path, "an object", v)
		}
		return r.object(path, f.fields, m).values, len(r.problems) == before
	case list:
		items, ok := v.([]any)
		if !ok {
			return r.mistyped(path, "a list", v)
		}
		return r.items(path, f, items)
	case texts, free:
		m, ok := v.(map[string]any)
		if !ok {
			return r.mistyped(path, "an object", v)
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if _, ok := m[key].(string); !ok && f.kind == texts {
				r.mistyped(path+"."+shown(key), "a string", m[key])
			}
		}
		return m, len(r.problems) == before
	default:
		return r.scalar(path, f, v)
	}
}

func (r *reader) items(path string, f field, in []any) (any, bool) {
	before := len(r.problems)
	out := make([]any, 0, len(in))
	item := field{kind: text, enum: f.enum}
	if len(f.fields) > 0 {
		item = field{kind: object, fields: f.fields}
	}
	for i, v := range in {
		value, _ := r.value(fmt.Sprintf("%s[%d]", path, i), item, v)
		out = append(out, value)
	}
	return out, len(r.problems) == before
}

func (r *reader) scalar(path string, f field, v any) (any, bool) {
	switch f.kind {
	case boolean:
		if _, ok := v.(bool); !ok {
			return r.mistyped(path, "true or false", v)
		}
	case text:
		s, ok := v.(string)
		if !ok {
			return r.mistyped(path, "a string", v)
		}
		if len(f.enum) > 0 && !slices.Contains(f.enum, s) {
			r.problem(path, "must be one of %s, not %s%s", strings.Join(f.enum, ", "), quoted(s), profile.DidYouMean(s, f.enum))
			return nil, false
		}
		if f.required && s == "" {
			r.problem(path, "must not be empty")
			return nil, false
		}
	default:
		n, ok := v.(float64)
		if !ok {
			return r.mistyped(path, "a number", v)
		}
		if wrong := outside(f, n); wrong != "" {
			r.problem(path, "%s, not %v", wrong, n)
			return nil, false
		}
	}
	return v, true
}

// outside says what a number must be, when it is not.
func outside(f field, n float64) string {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return "must be finite"
	}
	if f.kind == integer && (n != math.Trunc(n) || math.Abs(n) > maxInteger) {
		return "must be a whole number"
	}
	b := f.bounds
	switch {
	case b == nil || n > b.low && n <= b.high || n == b.low && !b.open:
		return ""
	case !math.IsInf(b.high, 1):
		return fmt.Sprintf("must be between %v and %v", b.low, b.high)
	case b.open:
		return fmt.Sprintf("must be greater than %v", b.low)
	default:
		return fmt.Sprintf("must be at least %v", b.low)
	}
}

func (r *reader) mistyped(path, want string, v any) (any, bool) {
	got := fmt.Sprintf("%v", v)
	switch v := v.(type) {
	case nil:
		got = "null"
	case string:
		got = "the string " + quoted(v)
	case map[string]any:
		got = "an object"
	case []any:
		got = "a list"
	}
	r.problem(path, "must be %s, not %s", want, got)
	return nil, false
}

// quoted is an author's text for a message.
func quoted(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "..."
	}
	return strconv.Quote(s)
}

// shown is a key for a field path: as it is when it is short and plain.
func shown(key string) string {
	if q := quoted(key); q != `"`+key+`"` {
		return q
	}
	return key
}

// unknown says that key is no field, and which one may be meant.
func unknown(key string, fields []field) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
		names = append(names, f.aliases...)
	}
	return "unknown field" + profile.DidYouMean(key, names)
}
