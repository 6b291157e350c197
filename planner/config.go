package planner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// root is where features.planner stands in a request.
const root = "spec.features.planner"

// sweeping says where the planner's first samples come from.
const sweeping = "pre_deployment_sweeping_mode"

// config is a PlannerConfig: what the author set, under the class's own names,
// and what was derived. Reading a field that is not set gives its default.
type config struct {
	contents
	fields  []field
	derived map[string]bool // written in full, even where equal to the default
}

// read checks the shape of features.planner: names, types, ranges, enums.
func read(req *profile.Request) (*config, profile.Problems) {
	r := reader{req: req}
	c := &config{fields: configFields(), derived: map[string]bool{}}
	c.contents = r.object(root, c.fields, req.Spec.Features.Planner)
	return c, r.problems
}

// path is where a field stands in the request, as its author spelled it.
func (c *config) path(name string) string {
	if spelling, ok := c.spelling[name]; ok {
		name = spelling
	}
	return root + "." + name
}

func (c *config) isSet(name string) bool {
	_, ok := c.values[name]
	return ok || c.wrong[name]
}

// value is what the planner will see, nil for null.
func (c *config) value(name string) any {
	if v, ok := c.values[name]; ok {
		return v
	}
	f, _ := find(c.fields, name)
	return f.def
}

func (c *config) text(name string) string    { s, _ := c.value(name).(string); return s }
func (c *config) number(name string) float64 { n, _ := c.value(name).(float64); return n }
func (c *config) flag(name string) bool      { b, _ := c.value(name).(bool); return b }

// fill sets a field that the author left open; it reports whether it did.
func (c *config) fill(name string, value any) bool {
	if c.isSet(name) {
		return false
	}
	c.values[name] = value
	c.derived[name] = true
	return true
}

// throughputScaling is whether the planner predicts traffic: the class switches
// it off for every target but sla.
func (c *config) throughputScaling() bool {
	return c.text("optimization_target") == "sla" && c.flag("enable_throughput_scaling")
}

// loadScaling is whether the planner reacts to load: the class switches it on
// for every target but sla.
func (c *config) loadScaling() bool {
	return c.text("optimization_target") != "sla" || c.flag("enable_load_scaling")
}

// encode writes the configuration as compact JSON in the order of the class,
// without what equals the class's defaults: short diffs, and nothing that the
// environment of the planner's pod should decide.
func (c *config) encode() (string, error) {
	values := maps.Clone(c.values)
	maps.DeleteFunc(values, func(name string, _ any) bool { return c.isDropped(name) })
	var b bytes.Buffer
	if err := encodeObject(&b, c.fields, values, c.derived); err != nil {
		return "", fmt.Errorf("encoding planner configuration: %w", err)
	}
	return b.String(), nil
}

// encodeObject writes the fields that differ from their defaults, and those in
// whole with everything below them.
func encodeObject(b *bytes.Buffer, fields []field, values map[string]any, whole map[string]bool) error {
	b.WriteByte('{')
	first := true
	for _, f := range fields {
		v, ok := values[f.name]
		if !ok || !whole[f.name] && isDefault(f, v) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		fmt.Fprintf(b, "%q:", f.name)
		if err := encodeValue(b, f, v, whole[f.name]); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	b.WriteByte('}')
	return nil
}

func encodeValue(b *bytes.Buffer, f field, v any, whole bool) error {
	switch v := v.(type) {
	case map[string]any:
		if f.kind == object {
			return encodeObject(b, f.fields, v, all(f.fields, whole))
		}
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			f.kind = object
			if err := encodeValue(b, f, item, whole); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	}
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Write(bytes.TrimSuffix(plain.Bytes(), []byte("\n")))
	return nil
}

// all names every field when whole, none otherwise.
func all(fields []field, whole bool) map[string]bool {
	names := map[string]bool{}
	for _, f := range fields {
		names[f.name] = whole
	}
	return names
}

// isDefault says that leaving the value out changes nothing for the planner. A
// field without a fixed default has none to equal.
func isDefault(f field, v any) bool {
	switch v := v.(type) {
	case nil:
		return f.def == nil
	case map[string]any:
		if f.kind != object || f.null || f.required {
			return false
		}
		for _, sub := range f.fields {
			if value, ok := v[sub.name]; ok && !isDefault(sub, value) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	return f.def != nil && !f.required && v == f.def
}
