package planner

import (
	"math"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// JSONSchema is the schema of features.planner, by the table of PlannerConfig's
// fields.
func JSONSchema() profile.Schema { return objectSchema(configFields()) }

func objectSchema(fields []field) profile.Schema {
	properties := profile.Schema{}
	var required []string
	for _, f := range fields {
		s := f.schema()
		for _, name := range append([]string{f.name}, f.aliases...) {
			properties[name] = s
		}
		if f.required && len(f.aliases) == 0 {
			required = append(required, f.name)
		}
	}
	return profile.Object(properties, required...)
}

func (f field) schema() profile.Schema {
	s := profile.Schema{}
	switch f.kind {
	case object:
		s = objectSchema(f.fields)
	case list:
		items := profile.Schema{"type": "string"}
		if len(f.fields) > 0 {
			items = objectSchema(f.fields)
		} else if len(f.enum) > 0 {
			items["enum"] = f.enum
		}
		s["items"] = items
	case texts:
		s["additionalProperties"] = profile.Schema{"type": "string"}
	case text:
		if len(f.enum) > 0 {
			s["enum"] = f.enum
		}
		if f.required {
			s["minLength"] = 1
		}
	case integer, number:
		f.bounds.restrict(s)
	}
	name := map[kind]string{boolean: "boolean", integer: "integer", number: "number", text: "string", object: "object", list: "array", texts: "object", free: "object"}[f.kind]
	s["type"] = name
	if f.null {
		s["type"] = []string{name, "null"}
		if len(f.enum) > 0 && f.kind == text {
			s["enum"] = append(slices.Collect(anys(f.enum)), nil)
		}
	}
	if f.def != nil {
		s["default"] = f.def
	}
	return s
}

func anys(words []string) func(func(any) bool) {
	return func(yield func(any) bool) {
		for _, w := range words {
			if !yield(w) {
				return
			}
		}
	}
}

func (b *bounds) restrict(s profile.Schema) {
	switch {
	case b == nil:
		return
	case b.open:
		s["exclusiveMinimum"] = b.low
	default:
		s["minimum"] = b.low
	}
	if !math.IsInf(b.high, 1) {
		s["maximum"] = b.high
	}
}
