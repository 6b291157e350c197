package render

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// TestOverrideCases merges each */override.yaml of the archives into the one
// generated deployment of testdata/override_blueprint.yaml. want.yaml is what
// comes out, want.warnings and want.err what is said. What v1beta1.yaml and
// v1alpha1.yaml of one case say alike comes out as one document.
func TestOverrideCases(t *testing.T) {
	files, err := filepath.Glob("testdata/override_*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			got := txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				switch path.Base(f.Name) {
				case "override.yaml", "v1beta1.yaml":
					got.Files = append(got.Files, f)
					got.Files = append(got.Files, overrideOutcome(t, path.Dir(f.Name), f.Data)...)
				case "v1alpha1.yaml": // after v1beta1.yaml, whose outcome it shares
					other := overrideOutcome(t, path.Dir(f.Name), f.Data)
					require.Equal(t, got.Files[len(got.Files)-1:], other, f.Name)
					got.Files = slices.Insert(got.Files, len(got.Files)-1, f)
				}
			}
			if updating() {
				require.NoError(t, os.WriteFile(file, txtar.Format(&got), 0o644))
				return
			}
			require.Equal(t, string(txtar.Format(archive)), string(txtar.Format(&got)))
		})
	}
}

func overrideOutcome(t *testing.T, name string, override []byte) []txtar.File {
	t.Helper()
	req, err := requestWith(t, override)
	if err != nil {
		return []txtar.File{{Name: name + "/want.err", Data: []byte(err.Error() + "\n")}}
	}
	base := blueprint(t)
	before := encodeTree(t, base)
	merged, warnings, err := applyOverride(base, req)
	require.Equal(t, before, encodeTree(t, base), "the generated deployment changed")

	var out []txtar.File
	if all := append(req.Warnings, warnings...); len(all) > 0 {
		out = append(out, txtar.File{Name: name + "/want.warnings", Data: []byte(profile.Problems(all).Error() + "\n")})
	}
	if err != nil {
		require.Nil(t, merged)
		return append(out, txtar.File{Name: name + "/want.err", Data: []byte(err.Error() + "\n")})
	}
	again, _, err := applyOverride(blueprint(t), req)
	require.NoError(t, err)
	require.Equal(t, merged, again, "merging is not repeatable")
	return append(out, txtar.File{Name: name + "/want.yaml", Data: []byte(encodeTree(t, merged))})
}

func requestWith(t *testing.T, override []byte) (*profile.Request, error) {
	t.Helper()
	const dgdr = `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: case}
spec:
  model: Qwen/Qwen3-32B
  backend: vllm
  hardware: {gpuSku: h200_sxm, totalGpus: 8, numGpusPerNode: 8}
  overrides:
    dgd:
`
	var b bytes.Buffer
	b.WriteString(dgdr)
	for line := range strings.Lines(string(override)) {
		b.WriteString("      " + line)
	}
	docs, err := profile.Documents("dgdr.yaml", b.Bytes())
	require.NoError(t, err)
	return profile.Parse(docs[0], profile.Defaults{})
}

func blueprint(t *testing.T) object {
	t.Helper()
	data, err := os.ReadFile("testdata/override_blueprint.yaml")
	require.NoError(t, err)
	var dgd object
	require.NoError(t, yaml.Unmarshal(data, &dgd))
	return integers(dgd).(object)
}

// integers makes a YAML tree one of JSON as the renderer has it.
func integers(v any) any {
	switch v := v.(type) {
	case object:
		for key, item := range v {
			v[key] = integers(item)
		}
	case []any:
		for i, item := range v {
			v[i] = integers(item)
		}
	case int:
		return int64(v)
	}
	return v
}

func encodeTree(t *testing.T, obj object) string {
	t.Helper()
	data, err := encode([]manifest{generated(obj, document{})})
	require.NoError(t, err)
	return string(data)
}

// FuzzOverride: a merged deployment is one that the schema admits and names every
// generated component; a refusal names the override; and the generated deployment
// stays as it was.
func FuzzOverride(f *testing.F) {
	files, err := filepath.Glob("testdata/override_*.txtar")
	require.NoError(f, err)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(f, err)
		for _, file := range archive.Files {
			if base := path.Base(file.Name); strings.HasSuffix(base, ".yaml") && base != "want.yaml" {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var parsed object
		if bytes.ContainsAny(data, "\r\u0085\u2028\u2029") || yaml.Unmarshal(data, &parsed) != nil {
			return
		}
		again, err := yaml.Marshal(parsed) // one document, of block style
		if err != nil {
			return
		}
		docs, err := profile.Documents("dgdr.yaml", again)
		if err != nil || len(docs) != 1 {
			return
		}
		req, err := requestWith(t, again)
		if err != nil {
			return
		}
		base := blueprint(t)
		merged, _, err := applyOverride(base, req)
		require.Equal(t, blueprint(t), base, "the generated deployment changed")
		if err != nil {
			require.Nil(t, merged)
			for line := range strings.Lines(err.Error()) {
				require.Regexp(t, `^dgdr\.yaml:\d+: "?spec\.overrides\.dgd`, line) // quoted where it has a control character
			}
			return
		}
		api, err := loadOpenAPI()
		require.NoError(t, err)
		require.Empty(t, api.check(betaVersion, "", merged, false))
		second, _, err := applyOverride(blueprint(t), req)
		require.NoError(t, err)
		require.Equal(t, merged, second)
		_, err = encode([]manifest{generated(merged, document{})})
		require.NoError(t, err)
	})
}
