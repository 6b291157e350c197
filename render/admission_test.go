package render_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

// Every DynamoGraphDeployment that the cases expect is one that a strict API
// server takes: no field that the CRD does not know, none of another type.
func TestCasesFitTheCRD(t *testing.T) {
	data, err := os.ReadFile("../../shared/crds/nvidia.com_dynamographdeployments.yaml")
	if err != nil {
		t.Skip("no CRDs beside the repository")
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema map[string]any `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(data, &crd))
	schemas := map[any]map[string]any{}
	for _, v := range crd.Spec.Versions {
		schemas["nvidia.com/"+v.Name] = v.Schema.OpenAPIV3Schema
	}
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		for _, f := range archive.Files {
			if f.Name != "want.yaml" {
				continue
			}
			dec := yaml.NewDecoder(strings.NewReader(string(f.Data)))
			for {
				var doc map[string]any
				if dec.Decode(&doc) != nil {
					break
				}
				if doc["kind"] == "DynamoGraphDeployment" {
					require.Empty(t, misfits(schemas[doc["apiVersion"]], doc, file))
					seen++
				}
			}
		}
	}
	require.NotZero(t, seen)
}

// misfits lists where a value leaves its schema.
func misfits(schema map[string]any, value any, at string) []string {
	var out []string
	fault := func(format string, args ...any) []string { return append(out, at+": "+fmt.Sprintf(format, args...)) }
	if schema["x-kubernetes-int-or-string"] == true {
		return nil
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fault("%v is none of %v", value, enum)
	}
	switch v := value.(type) {
	case map[string]any:
		if schema["type"] == "object" {
			return objectMisfits(schema, v, at)
		}
	case []any:
		if schema["type"] != "array" {
			break
		}
		for i, item := range v {
			out = append(out, misfits(schema["items"].(map[string]any), item, fmt.Sprintf("%s[%d]", at, i))...)
		}
		return out
	case string:
		if schema["type"] == "string" {
			return nil
		}
	case int:
		if schema["type"] == "integer" || schema["type"] == "number" {
			return nil
		}
	case bool:
		if schema["type"] == "boolean" {
			return nil
		}
	}
	return fault("%T where the schema has %v", value, schema["type"])
}

func objectMisfits(schema, v map[string]any, at string) (out []string) {
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, ok := v[key.(string)]; !ok {
			out = append(out, fmt.Sprintf("%s: %v is required", at, key))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil && strings.HasSuffix(at, ".metadata") {
		return out // the API server has its own schema
	}
	for key, item := range v {
		sub, ok := properties[key].(map[string]any)
		if !ok {
			sub, ok = schema["additionalProperties"].(map[string]any)
		}
		switch {
		case ok:
			out = append(out, misfits(sub, item, at+"."+key)...)
		case schema["x-kubernetes-preserve-unknown-fields"] != true:
			out = append(out, fmt.Sprintf("%s: unknown field %q", at, key))
		}
	}
	return out
}
