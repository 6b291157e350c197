package render

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const crdFile = "../../shared/crds/nvidia.com_dynamographdeployments.yaml"

// TestSchemaIsOfTheCRD holds the embedded schema against Dynamo's definition;
// -update makes it anew.
func TestSchemaIsOfTheCRD(t *testing.T) {
	data, err := os.ReadFile(crdFile)
	if os.IsNotExist(err) {
		t.Skip("no CRDs beside the repository")
	}
	require.NoError(t, err)
	want := strip(t, data)
	if updating() {
		require.NoError(t, os.WriteFile("schema/dgd.json", want, 0o644))
		return
	}
	require.Equal(t, string(want), string(dgdSchemaJSON))
}

func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// strip makes the schema of a custom resource definition, one definition a line.
func strip(t *testing.T, crd []byte) []byte {
	t.Helper()
	var doc map[string]any
	require.NoError(t, yaml.Unmarshal(crd, &doc))
	plain, err := json.Marshal(doc["spec"])
	require.NoError(t, err)
	var spec struct {
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema *schemaNode }
		}
	}
	require.NoError(t, json.Unmarshal(plain, &spec))

	s := sharing{uses: map[string]int{}, names: map[string]string{}, api: openAPI{Definitions: map[string]*schemaNode{}}}
	for _, v := range spec.Versions {
		root := v.Schema.OpenAPIV3Schema
		delete(root.Properties, "status")
		str := &schemaNode{Type: "string"}
		root.Properties["metadata"] = &schemaNode{Type: "object", Properties: map[string]*schemaNode{
			"name": str, "namespace": str,
			"labels":      {Type: "object", AdditionalProperties: str},
			"annotations": {Type: "object", AdditionalProperties: str},
		}}
		s.count(t, root)
	}
	for _, v := range spec.Versions {
		root := s.children(t, v.Schema.OpenAPIV3Schema, v.Name)
		root.GVK = []map[string]any{{"group": "nvidia.com", "version": v.Name, "kind": "DynamoGraphDeployment"}}
		s.api.Definitions[definitionName("nvidia.com/"+v.Name)] = root
	}
	return s.lines(t)
}

// sharing gives a schema that occurs more than once a definition, named by where
// it occurs first.
type sharing struct {
	uses  map[string]int    // by the JSON of the schema
	names map[string]string // likewise
	api   openAPI
}

func identity(t *testing.T, n *schemaNode) string {
	t.Helper()
	data, err := json.Marshal(n)
	require.NoError(t, err)
	return string(data)
}

func (s *sharing) count(t *testing.T, n *schemaNode) {
	t.Helper()
	if n == nil {
		return
	}
	s.uses[identity(t, n)]++
	for _, p := range n.Properties {
		s.count(t, p)
	}
	s.count(t, n.Items)
	s.count(t, n.AdditionalProperties)
}

func (s *sharing) share(t *testing.T, n *schemaNode, path string) *schemaNode {
	t.Helper()
	if n == nil {
		return nil
	}
	id := identity(t, n)
	if len(n.Properties) == 0 || s.uses[id] < 2 {
		return s.children(t, n, path)
	}
	if s.names[id] == "" {
		s.names[id] = path
		s.api.Definitions[path] = s.children(t, n, path)
	}
	return &schemaNode{Ref: refPrefix + s.names[id]}
}

func (s *sharing) children(t *testing.T, n *schemaNode, path string) *schemaNode {
	t.Helper()
	out := *n
	out.Properties = map[string]*schemaNode{}
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		out.Properties[name] = s.share(t, n.Properties[name], path+"."+name)
	}
	out.Items = s.share(t, n.Items, path+".items")
	out.AdditionalProperties = s.share(t, n.AdditionalProperties, path+".values")
	return &out
}

func (s *sharing) lines(t *testing.T) []byte {
	t.Helper()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.api.Definitions)) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		require.NoError(t, enc.Encode(s.api.Definitions[name]))
		lines = append(lines, `"`+name+`":`+strings.TrimSpace(b.String()))
	}
	return []byte("{\"definitions\":{\n" + strings.Join(lines, ",\n") + "\n}}\n")
}
