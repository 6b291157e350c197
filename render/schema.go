package render

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// The schema of a DynamoGraphDeployment in both of its versions, taken from
// Dynamo's custom resource definition: types, list keys and limits, no prose.
// Equal parts are shared as definitions.
//
//go:embed schema/dgd.json
var dgdSchemaJSON []byte

// openAPI is a set of OpenAPI definitions by name.
type openAPI struct {
	Definitions map[string]*schemaNode `json:"definitions"`
}

// schemaNode is what a merge and a check need of an OpenAPI schema. Decoding a
// custom resource definition into it drops the rest.
type schemaNode struct {
	Ref                  string                 `json:"$ref,omitempty"`
	Type                 string                 `json:"type,omitempty"`
	Properties           map[string]*schemaNode `json:"properties,omitempty"`
	AdditionalProperties *schemaNode            `json:"additionalProperties,omitempty"`
	Items                *schemaNode            `json:"items,omitempty"`
	Required             []string               `json:"required,omitempty"`
	Enum                 []string               `json:"enum,omitempty"`
	Default              any                    `json:"default,omitempty"`
	Pattern              string                 `json:"pattern,omitempty"`
	Minimum              *float64               `json:"minimum,omitempty"`
	Maximum              *float64               `json:"maximum,omitempty"`
	MinLength            int                    `json:"minLength,omitempty"`
	MaxLength            int                    `json:"maxLength,omitempty"`
	MaxItems             int                    `json:"maxItems,omitempty"`
	MaxProperties        int                    `json:"maxProperties,omitempty"`

	ListType        string           `json:"x-kubernetes-list-type,omitempty"`
	ListMapKeys     []string         `json:"x-kubernetes-list-map-keys,omitempty"`
	MapType         string           `json:"x-kubernetes-map-type,omitempty"`
	IntOrString     bool             `json:"x-kubernetes-int-or-string,omitempty"`
	PreserveUnknown bool             `json:"x-kubernetes-preserve-unknown-fields,omitempty"`
	PatchMergeKey   string           `json:"x-kubernetes-patch-merge-key,omitempty"` // see patchschema.go
	PatchStrategy   string           `json:"x-kubernetes-patch-strategy,omitempty"`
	GVK             []map[string]any `json:"x-kubernetes-group-version-kind,omitempty"`
}

const refPrefix = "#/definitions/"

// definitionName names the schema of a whole object: nvidia.com/v1beta1 gives
// com.nvidia.v1beta1.DynamoGraphDeployment.
func definitionName(apiVersion string) string {
	_, version, _ := strings.Cut(apiVersion, "/")
	return "com.nvidia." + version + ".DynamoGraphDeployment"
}

func loadOpenAPI() (*openAPI, error) {
	var api openAPI
	if err := json.Unmarshal(dgdSchemaJSON, &api); err != nil {
		return nil, fmt.Errorf("decoding the DGD schema: %w", err)
	}
	return &api, nil
}

func (a *openAPI) resolve(n *schemaNode) *schemaNode {
	if name, ok := strings.CutPrefix(n.Ref, refPrefix); ok {
		return a.Definitions[name]
	}
	return n
}

// The names of the types of values that no schema describes.
const (
	untypedAtomic  = "untyped-atomic"
	untypedDeduced = "untyped-deduced"
)

// parser is the schema as structured-merge-diff reads it, by the rules with
// which the API server makes one (kube-openapi, schemaconv).
func (a *openAPI) parser() *typed.Parser {
	untyped := schema.Scalar("untyped")
	types := []schema.TypeDef{
		{Name: untypedAtomic, Atom: schema.Atom{
			Scalar: &untyped,
			List:   &schema.List{ElementType: named(untypedAtomic), ElementRelationship: schema.Atomic},
			Map:    &schema.Map{ElementType: named(untypedAtomic), ElementRelationship: schema.Atomic},
		}},
		{Name: untypedDeduced, Atom: schema.Atom{
			Scalar: &untyped,
			List:   &schema.List{ElementType: named(untypedAtomic), ElementRelationship: schema.Atomic},
			Map:    &schema.Map{ElementType: named(untypedDeduced), ElementRelationship: schema.Separable},
		}},
	}
	for _, name := range slices.Sorted(maps.Keys(a.Definitions)) {
		types = append(types, schema.TypeDef{Name: name, Atom: atomOf(a.Definitions[name])})
	}
	return &typed.Parser{Schema: schema.Schema{Types: types}}
}

func named(name string) schema.TypeRef { return schema.TypeRef{NamedType: &name} }

func typeRef(n *schemaNode) schema.TypeRef {
	if name, ok := strings.CutPrefix(n.Ref, refPrefix); ok {
		return named(name)
	}
	if n.Type == "" && n.PreserveUnknown {
		return named(untypedDeduced)
	}
	return schema.TypeRef{Inlined: atomOf(n)}
}

func atomOf(n *schemaNode) schema.Atom {
	switch n.Type {
	case "object":
		return schema.Atom{Map: mapOf(n)}
	case "array":
		return schema.Atom{List: listOf(n)}
	case "integer", "number":
		return scalarAtom(schema.Numeric)
	case "boolean":
		return scalarAtom(schema.Boolean)
	case "string":
		return scalarAtom(schema.String)
	}
	return scalarAtom("untyped") // int or string
}

func scalarAtom(s schema.Scalar) schema.Atom { return schema.Atom{Scalar: &s} }

func mapOf(n *schemaNode) *schema.Map {
	m := &schema.Map{}
	if n.MapType == "atomic" {
		m.ElementRelationship = schema.Atomic
	}
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		field := n.Properties[name]
		m.Fields = append(m.Fields, schema.StructField{Name: name, Type: typeRef(field), Default: field.Default})
	}
	switch {
	case n.AdditionalProperties != nil:
		m.ElementType = typeRef(n.AdditionalProperties)
	case n.PreserveUnknown || len(n.Properties) == 0:
		m.ElementType = named(untypedDeduced)
	}
	return m
}

func listOf(n *schemaNode) *schema.List {
	l := &schema.List{ElementType: typeRef(n.Items), ElementRelationship: schema.Atomic}
	switch n.ListType {
	case "map":
		l.ElementRelationship, l.Keys = schema.Associative, n.ListMapKeys
	case "set":
		l.ElementRelationship = schema.Associative
	}
	return l
}
