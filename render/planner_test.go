package render_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/render/rendertest"
)

// TestPlannersLoad gives Dynamo's own PlannerConfig every planner configuration of
// the renders that this repository holds, and of the goldens that it renders.
func TestPlannersLoad(t *testing.T) {
	python := os.Getenv("DYNAMO_CMP_DYNAMO")
	if python == "" {
		t.Skip("DYNAMO_CMP_DYNAMO names no Python with planner/testdata/requirements-dynamo.txt")
	}
	var names []string
	var in bytes.Buffer
	add := func(name string, stream []byte) {
		for _, config := range plannerConfigs(t, stream) {
			names = append(names, name)
			require.NoError(t, json.Compact(&in, []byte(config)), name)
			in.WriteByte('\n')
		}
	}
	for _, pattern := range []string{"testdata/*.txtar", "../cmd/*/testdata/*.txtar"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			for _, f := range archive.Files {
				add(file+" "+f.Name, f.Data)
			}
		}
	}
	cases := len(names)
	require.Greater(t, cases, 5)
	files, err := filepath.Glob(goldens + "/*/final_config.yaml")
	require.NoError(t, err)
	for _, file := range files {
		dir := filepath.Dir(file)
		if name := filepath.Base(dir); refusedHere()[name] == "" && pending()[name] == "" {
			dgdr, err := rendertest.Request(dir)
			require.NoError(t, err)
			add(name, goldenOutput(t, dir, dgdr))
		}
	}
	if len(files) > 0 {
		require.Greater(t, len(names)-cases, 10)
	}

	cmd := exec.CommandContext(t.Context(), python, "../planner/testdata/load_config.py")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	answers := json.NewDecoder(bytes.NewReader(out))
	for _, name := range names {
		var answer struct {
			Config map[string]any
			Error  string
		}
		require.NoError(t, answers.Decode(&answer))
		require.Empty(t, answer.Error, name)
		require.NotEmpty(t, answer.Config, name)
	}
}

// plannerConfigs are those in the ConfigMaps of a stream; none of what is no YAML.
func plannerConfigs(t *testing.T, stream []byte) []string {
	t.Helper()
	const key = "planner_config.json"
	var out []string
	for doc := range strings.SplitSeq(string(stream), "\n---\n") {
		if !strings.Contains(doc, "\n  "+key+": ") {
			continue
		}
		var configMap struct{ Data map[string]string }
		require.NoError(t, yaml.Unmarshal([]byte(doc), &configMap))
		out = append(out, configMap.Data[key])
	}
	return out
}
