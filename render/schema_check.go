package render

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// fault is a value that the schema refuses.
type fault struct{ path, message string }

// schemaCheck compares values with a schema as the API server does, and notes
// every difference.
type schemaCheck struct {
	api     *openAPI
	partial bool // the value is part of an object: a required field may be elsewhere
	faults  []fault
}

// check returns what the schema of the version refuses in an object.
func (a *openAPI) check(apiVersion, path string, obj object, partial bool) []fault {
	c := schemaCheck{api: a, partial: partial}
	c.value(path, &schemaNode{Ref: refPrefix + definitionName(apiVersion)}, obj)
	return c.faults
}

func (c *schemaCheck) fault(path, format string, args ...any) {
	c.faults = append(c.faults, fault{path, fmt.Sprintf(format, args...)})
}

func (c *schemaCheck) value(path string, n *schemaNode, v any) {
	n = c.api.resolve(n)
	switch n.Type {
	case "object":
		if m, ok := v.(object); ok {
			c.object(path, n, m)
		} else {
			c.fault(path, "must be an object, is %s", show(v))
		}
	case "array":
		if l, ok := v.([]any); ok {
			c.list(path, n, l)
		} else {
			c.fault(path, "must be a list, is %s", show(v))
		}
	case "":
		if n.IntOrString {
			c.intOrString(path, n, v)
		}
	default:
		c.scalar(path, n, v)
	}
}

func (c *schemaCheck) object(path string, n *schemaNode, m object) {
	if n.MaxProperties > 0 && len(m) > n.MaxProperties {
		c.fault(path, "has %d entries, more than the %d allowed", len(m), n.MaxProperties)
	}
	for _, name := range n.Required {
		if _, ok := m[name]; !ok && !c.partial {
			c.fault(join(path, name), "is required")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := join(path, name)
		switch field := n.Properties[name]; {
		case field != nil:
			c.value(at, field, m[name])
		case n.AdditionalProperties != nil:
			c.value(at, n.AdditionalProperties, m[name])
		case n.PreserveUnknown:
		default:
			c.fault(at, "unknown field%s", profile.DidYouMean(name, slices.Collect(maps.Keys(n.Properties))))
		}
	}
}

func (c *schemaCheck) list(path string, n *schemaNode, l []any) {
	if n.MaxItems > 0 && len(l) > n.MaxItems {
		c.fault(path, "has %d items, more than the %d allowed", len(l), n.MaxItems)
	}
	if n.ListType != "map" { // its items replace others as they are
		defer func(partial bool) { c.partial = partial }(c.partial)
		c.partial = false
	}
	seen := map[string]int{}
	for i, item := range l {
		at := path + "[" + strconv.Itoa(i) + "]"
		c.value(at, n.Items, item)
		id, ok := c.identity(at, n, item)
		if !ok {
			continue
		}
		if first, twice := seen[id]; twice {
			c.fault(at, "duplicate of item %d: %s", first, id)
		}
		seen[id] = i
	}
}

// identity is what tells the items of a keyed list or a set apart.
func (c *schemaCheck) identity(path string, n *schemaNode, item any) (string, bool) {
	switch n.ListType {
	case "set":
		return show(item), true
	case "map":
	default:
		return "", false
	}
	m, ok := item.(object)
	if !ok {
		return "", false
	}
	var parts []string
	for _, key := range n.ListMapKeys {
		v, ok := m[key]
		if !ok {
			v = c.api.resolve(n.Items).Properties[key].Default
		}
		if v == nil || v == "" {
			c.fault(join(path, key), "is required: it tells the items of the list apart")
			return "", false
		}
		parts = append(parts, key+" "+show(v))
	}
	return strings.Join(parts, ", "), true
}

func (c *schemaCheck) intOrString(path string, n *schemaNode, v any) {
	if _, ok := wholeNumber(v); ok {
		return
	}
	s, ok := v.(string)
	if !ok {
		c.fault(path, "must be a whole number or a string, is %s", show(v))
	} else if n.Pattern != "" && !c.matches(path, n, s) { // only quantities have one
		c.fault(path, "must be a quantity such as 8 or 80Gi, is %q", s)
	}
}

func (c *schemaCheck) scalar(path string, n *schemaNode, v any) {
	switch v := v.(type) {
	case string:
		if n.Type == "string" {
			c.text(path, n, v)
			return
		}
	case bool:
		if n.Type == "boolean" {
			return
		}
	case int64, float64:
		if c.number(path, n, v) {
			return
		}
	}
	kinds := map[string]string{"string": "a string", "boolean": "true or false", "integer": "a whole number", "number": "a number"}
	hint := ""
	switch v.(type) {
	case bool, int64, float64:
		if n.Type == "string" {
			hint = "; quote it"
		}
	}
	c.fault(path, "must be %s, is %s%s", kinds[n.Type], show(v), hint)
}

func (c *schemaCheck) number(path string, n *schemaNode, v any) bool {
	f, whole := wholeNumber(v)
	if n.Type != "number" && (n.Type != "integer" || !whole) {
		return false
	}
	if n.Minimum != nil && f < *n.Minimum {
		c.fault(path, "must be at least %v, is %v", *n.Minimum, v)
	}
	if n.Maximum != nil && f > *n.Maximum {
		c.fault(path, "must be at most %v, is %v", *n.Maximum, v)
	}
	return true
}

func (c *schemaCheck) text(path string, n *schemaNode, s string) {
	if len(n.Enum) > 0 && !slices.Contains(n.Enum, s) {
		c.fault(path, "must be one of %s, is %q%s", strings.Join(n.Enum, ", "), s, profile.DidYouMean(s, n.Enum))
		return
	}
	if len(s) < n.MinLength {
		c.fault(path, "must not be empty")
		return
	}
	if n.MaxLength > 0 && len(s) > n.MaxLength {
		c.fault(path, "has %d characters, more than the %d allowed", len(s), n.MaxLength)
	}
	if n.Pattern != "" && !c.matches(path, n, s) {
		c.fault(path, "must match %s, is %q", n.Pattern, s)
	}
}

func (c *schemaCheck) matches(path string, n *schemaNode, s string) bool {
	pattern, err := regexp.Compile(n.Pattern)
	if err != nil {
		c.fault(path, "reading the schema: %v", err)
		return true
	}
	return pattern.MatchString(s)
}

func wholeNumber(v any) (f float64, whole bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

// show is a value as a message shows it.
func show(v any) string {
	switch v := v.(type) {
	case object:
		return "an object"
	case []any:
		return "a list"
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
