package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The published schemas are those that the command prints.
func TestSchemaFiles(t *testing.T) {
	for _, kind := range schemas() {
		got, err := schemaOf(kind)
		require.NoError(t, err)
		path := "../../docs/schemas/" + kind + ".schema.json"
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, got, 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "to write it anew: go test ./cmd/dynamo-cmp -update")
	}
}

func compiled(t *testing.T, kind string) *jsonschema.Schema {
	text, err := schemaOf(kind)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource(kind, doc))
	s, err := c.Compile(kind)
	require.NoError(t, err)
	return s
}

// valid holds the one document of a file against a schema.
func valid(t *testing.T, s *jsonschema.Schema, data []byte) error {
	var doc any
	require.NoError(t, yaml.Unmarshal(data, &doc))
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return s.Validate(value)
}

func TestExamplesMatchSchemas(t *testing.T) {
	for kind, pattern := range map[string]string{
		"dgdr": "apps/*/dgdr.yaml", "lock": "apps/*/dynamo.lock", "hardware": "hardware.yaml", "policy": "platform/policy.yaml",
	} {
		files, err := filepath.Glob("../../examples/gitops-repo/" + pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, valid(t, compiled(t, kind), data), file)
		}
	}
}

// What the parser takes, the schema takes: each request of the parser's own cases
// that has no problem, but for nulls, a GPU in upper case, and an old planner setting,
// which rendering refuses. What it refuses, the schema refuses too, but for the cases
// that need more than one field, or another file, to see.
func TestRequestSchema(t *testing.T) {
	s := compiled(t, "dgdr")
	unseen := []string{"other-hardware", "name-long-override", "planner-mocker-none", "isl-octal"}
	stricter := []string{"everything", "nulls", "full"}
	noJSON := []string{"ttft-nan", "tagged"}
	for _, archive := range []string{"request_valid", "request_alpha", "request_malformed"} {
		a, err := txtar.ParseFile("../../profile/testdata/" + archive + ".txtar")
		require.NoError(t, err)
		hardware := profile.Defaults{}
		for _, f := range a.Files {
			name, isCase := strings.CutSuffix(f.Name, ".yaml")
			if name == "hardware" {
				hardware.Hardware, err = profile.ParseHardware(f.Name, f.Data)
				require.NoError(t, err)
			}
			if !isCase || name == "hardware" || slices.Contains(noJSON, name) {
				continue
			}
			docs, err := profile.Documents(f.Name, f.Data)
			if err != nil || len(docs) != 1 {
				continue // not YAML: no schema sees it
			}
			_, parsed := profile.Parse(docs[0], hardware)
			t.Run(archive+"/"+name, func(t *testing.T) {
				err := valid(t, s, f.Data)
				switch {
				case parsed == nil && slices.Contains(stricter, name):
					require.Error(t, err)
				case parsed == nil:
					require.NoError(t, err)
				case !slices.Contains(unseen, name):
					require.Error(t, err, "%v", parsed)
				}
			})
		}
	}
}

// Each planted mistake in a file that has a schema is seen by it, where its rule is
// one of form.
func TestSchemasRefuseMistakes(t *testing.T) {
	seen := []string{"unknown-field", "required", "api-version", "enum", "type", "model-cache", "name", "model", "gpu-sku", "hardware-zero",
		"workload", "sla", "image", "thorough-auto", "profiling-job", "dgd-override", "planner", "config", "policy", "lock", "lock-select"}
	kinds := map[string]string{"dgdr.yaml": "dgdr", "dynamo.lock": "lock", "config.yaml": "config", "policy.yaml": "policy"}
	refused := map[string]bool{}
	for name, files := range mistakes(t) {
		for file, data := range files {
			m := planted.FindSubmatch(data)
			kind := kinds[file]
			if kind == "" || m != nil && !slices.Contains(seen, string(m[1])) {
				continue
			}
			data = bytes.ReplaceAll(data, []byte("$KEY"), []byte("sha256:"+strings.Repeat("0", 64)))
			err := valid(t, compiled(t, kind), data)
			if m == nil {
				require.NoError(t, err, name)
				continue
			}
			require.Error(t, err, name)
			refused[string(m[1])] = true
		}
	}
	require.Greater(t, len(refused), 17, refused)
}

// The schema of a DGDR knows the fields of Dynamo's own, and of those alone kvRouter
// is not in it.
func TestRequestSchemaHasFieldsOfCRD(t *testing.T) {
	data, err := os.ReadFile("../../../shared/crds/nvidia.com_dynamographdeploymentrequests.yaml")
	if os.IsNotExist(err) {
		t.Skip("the CRDs are not beside the repository")
	}
	require.NoError(t, err)
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
	text, err := schemaOf("dgdr")
	require.NoError(t, err)
	var ours map[string]any
	require.NoError(t, json.Unmarshal(text, &ours))
	for _, v := range crd.Spec.Versions {
		branch := map[string]string{"v1beta1": "else", "v1alpha1": "then"}[v.Name]
		require.NotEmpty(t, branch)
		theirs := at(v.Schema.OpenAPIV3Schema, "properties", "spec")
		for _, field := range []string{"", "hardware", "workload", "sla", "modelCache", "overrides", "features", "profilingConfig", "deploymentOverrides"} {
			path := []string{"properties", "spec"}
			inCRD, inOurs := theirs, at(ours, append([]string{branch}, path...)...)
			if field != "" {
				inCRD, inOurs = at(inCRD, "properties", field), at(inOurs, "properties", field)
			}
			want, got := keys(at(inCRD, "properties")), keys(at(inOurs, "properties"))
			if field == "features" && v.Name == "v1beta1" {
				got = slices.DeleteFunc(got, func(k string) bool { return k == "kvRouter" })
			}
			require.Equal(t, want, got, "%s %s", v.Name, field)
		}
	}
}

func at(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		m, _ = m[p].(map[string]any)
	}
	return m
}

func keys(m map[string]any) []string {
	out := []string{}
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// A config with every field that the parser knows has every field of the schema.
func TestConfigSchema(t *testing.T) {
	a, err := txtar.ParseFile("../../profile/testdata/config/whole.txtar")
	require.NoError(t, err)
	require.NoError(t, valid(t, compiled(t, "config"), a.Files[0].Data))
	var doc map[string]any
	require.NoError(t, yaml.Unmarshal(a.Files[0].Data, &doc))
	text, err := schemaOf("config")
	require.NoError(t, err)
	var ours map[string]any
	require.NoError(t, json.Unmarshal(text, &ours))
	require.Equal(t, keys(at(doc, "spec")), keys(at(ours, "properties", "spec", "properties")))
}
