package planner

import "math"

// kind is the JSON type that a field holds.
type kind int

const (
	boolean kind = iota
	integer
	number
	text
	object // of the fields listed
	list   // of objects with the fields listed, or of text without any
	texts  // string to string
	free   // an object of any content
)

// field is one entry of a Pydantic model: its name, type, default and bounds.
type field struct {
	name     string
	aliases  []string // other accepted spellings
	kind     kind
	null     bool // null is a value
	required bool
	def      any // nil for null, for objects, and for fields that have no fixed default
	enum     []string
	bounds   *bounds
	fields   []field
}

// bounds is the range of a number. An open range leaves its lower end out.
type bounds struct {
	low, high float64
	open      bool
}

func from(low float64) *bounds          { return &bounds{low: low, high: math.Inf(1)} }
func above(low float64) *bounds         { return &bounds{low: low, high: math.Inf(1), open: true} }
func between(low, high float64) *bounds { return &bounds{low: low, high: high} }

func boolField(name string, def bool) field {
	return field{name: name, kind: boolean, def: def}
}

func textField(name, def string) field {
	return field{name: name, kind: text, def: def}
}

func optionalText(name string) field {
	return field{name: name, kind: text, null: true}
}

func enumField(name, def string, values ...string) field {
	return field{name: name, kind: text, def: def, enum: values}
}

func intField(name string, def float64, b *bounds) field {
	return field{name: name, kind: integer, def: def, bounds: b}
}

func optionalInt(name string, b *bounds) field {
	return field{name: name, kind: integer, null: true, bounds: b}
}

func numberField(name string, def float64, b *bounds) field {
	return field{name: name, kind: number, def: def, bounds: b}
}

func optionalNumber(name string, b *bounds) field {
	return field{name: name, kind: number, null: true, bounds: b}
}

func objectField(name string, fields ...field) field {
	return field{name: name, kind: object, fields: fields}
}

func listField(name string, items ...field) field {
	return field{name: name, kind: list, fields: items}
}

func (f field) orNull() field { f.null = true; return f }

func (f field) must() field { f.required = true; return f }

func (f field) alias(names ...string) field { f.aliases = names; return f }

// find returns the field spelled name, by its own name or an alias.
func find(fields []field, name string) (field, bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
		for _, alias := range f.aliases {
			if alias == name {
				return f, true
			}
		}
	}
	return field{}, false
}
