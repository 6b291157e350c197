package planner_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// parse reads the one DGDR of a file.
func parse(t *testing.T, file string, data []byte) *profile.Request {
	t.Helper()
	docs, err := profile.Documents(file, data)
	require.NoError(t, err)
	require.Len(t, docs, 1)
	req, err := profile.Parse(docs[0], profile.Defaults{})
	require.NoError(t, err)
	return req
}

// request is a DGDR whose features.planner is the given YAML, which starts on
// line 14.
func request(t *testing.T, planner string) *profile.Request {
	t.Helper()
	head := `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata:
  name: demo
spec:
  model: Qwen/Qwen3-32B
  backend: vllm
  hardware:
    gpuSku: h200_sxm
    totalGpus: 8
    numGpusPerNode: 8
  features:
    planner:
`
	return parse(t, "dgdr.yaml", []byte(head+"      "+strings.ReplaceAll(planner, "\n", "\n      ")+"\n"))
}

// TestBuild runs the cases of testdata: dgdr.yaml and result.json give the files
// of the ConfigMaps, the roles and warnings, or an error.
func TestBuild(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			got := txtar.Archive{Comment: archive.Comment, Files: slices.Clone(archive.Files[:2])}
			require.Equal(t, "dgdr.yaml", got.Files[0].Name)
			require.Equal(t, "result.json", got.Files[1].Name)
			req := parse(t, "dgdr.yaml", got.Files[0].Data)
			res, err := profile.ParseResult(got.Files[1].Data)
			require.NoError(t, err)

			built, err := planner.Build(req, res, "demo-dgd")
			got.Files = append(got.Files, outcome(built, planner.Warnings(req), err)...)
			if *update {
				require.NoError(t, os.WriteFile(file, txtar.Format(&got), 0o644))
				return
			}
			require.Equal(t, string(txtar.Format(archive)), string(txtar.Format(&got)))
		})
	}
}

// outcome is what a case expects, as files.
func outcome(p *planner.Planner, early profile.Problems, err error) []txtar.File {
	if err != nil {
		return []txtar.File{{Name: "want.err", Data: []byte(err.Error() + "\n")}}
	}
	if p == nil {
		return []txtar.File{{Name: "off"}}
	}
	var b strings.Builder
	b.WriteString("mode: " + p.Mode + "\nscales:")
	for _, role := range p.ScaledRoles {
		b.WriteString(" " + string(role))
	}
	c := p.Component
	b.WriteString("\nname: " + c.Name + "\nimage: " + c.Image + "\nworkingDir: " + c.WorkingDir +
		"\ncommand: " + strings.Join(c.Command, " ") + "\nargs: " + strings.Join(c.Args, " ") + "\n")
	for _, w := range append(early, p.Warnings...) {
		b.WriteString("warning: " + w.String() + "\n")
	}
	files := []txtar.File{{Name: "planner", Data: []byte(b.String())}}
	for _, m := range p.ConfigMaps {
		files = append(files, txtar.File{Name: m.Name, Data: []byte("volume: " + m.Volume + "\npath: " + m.Path + "\n")})
		for _, name := range []string{"planner_config.json", "prefill_raw_data.json", "decode_raw_data.json"} {
			if data, ok := m.Data[name]; ok {
				files = append(files, txtar.File{Name: name, Data: []byte(strings.ReplaceAll(data, ",\"", ",\n\"") + "\n")})
			}
		}
	}
	return files
}

// The API server takes a mebibyte of data in a ConfigMap.
func TestConfigMapIsBounded(t *testing.T) {
	res := &profile.Result{Pick: profile.Pick{Mode: profile.Aggregated, Backend: profile.BackendVLLM,
		Roles: []profile.Role{{Name: profile.RoleWorker, GPUsPerEngine: 1}}}}
	plugin := func(length int) *profile.Request {
		return request(t, "plugin_registration:\n  in_process_plugins:\n"+
			"  - {module: m, class: C, plugin_id: p, plugin_type: propose, priority: 1, kwargs: {a: "+strings.Repeat("x", length)+"}}")
	}
	_, err := planner.Build(plugin(1<<20-1000), res, "demo-dgd")
	require.NoError(t, err)
	_, err = planner.Build(plugin(1<<20), res, "demo-dgd")
	require.ErrorContains(t, err, "bytes are more than a ConfigMap holds, which is 1048576")
}
