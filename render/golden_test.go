package render_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/render/rendertest"
)

const goldens = "../../shared/goldens"

// refusedHere are the cases that Dynamo answers and we refuse, and why.
func refusedHere() map[string]string {
	return map[string]string{
		"m-image-digest-vllm":               "the engine images would keep a digest that is not theirs",
		"m-pvc-no-path-vllm":                "Dynamo serves a path that does not exist",
		"m-override-unknown-component-vllm": "the override would be lost in silence",
	}
}

// pending are the cases whose rendering is not built yet.
func pending() map[string]string {
	return map[string]string{
		"m-mocker-only-vllm":                                "mocker",
		"m-pvc-mocker-vllm":                                 "mocker",
		"m-sku-v100-naive-mocker":                           "mocker",
		"dyn-3b-rapid-supported-planner-rapid-sweep-mocker": "mocker",
	}
}

func TestGoldens(t *testing.T) {
	files, err := filepath.Glob(goldens + "/*/final_config.yaml")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no goldens beside the repository")
	}
	comparison := rendertest.New()
	for _, file := range files {
		dir := filepath.Dir(file)
		name := filepath.Base(dir)
		if refusedHere()[name] != "" || pending()[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			data, err := rendertest.Request(dir)
			require.NoError(t, err)
			require.NoError(t, comparison.Compare(dir, goldenOutput(t, dir, data)))
		})
	}
	require.Empty(t, comparison.Dead(), "rules that no golden needs")
}

// goldenOutput renders a golden's DGDR with its captured pick.
func goldenOutput(t *testing.T, dir string, dgdr []byte) []byte {
	t.Helper()
	repo := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(repo, "dgdr.yaml"), dgdr, 0o644))
	tree, at, err := render.OpenTree(repo)
	require.NoError(t, err)
	defer tree.Close()
	src, err := tree.Load(at)
	require.NoError(t, err)
	out, err := render.Build(context.Background(), src, func(_ context.Context, req *profile.Request) (render.Answer, error) {
		res, err := rendertest.Result(dir, req)
		return render.Answer{Result: res, Digest: "sha256:golden"}, err
	})
	require.NoError(t, err)
	return out
}

// Every rule of the comparison is explained, under its own name.
func TestDeviationsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/deviations.md")
	require.NoError(t, err)
	var headings []string
	for line := range strings.Lines(string(doc)) {
		if id, ok := strings.CutPrefix(line, "### "); ok {
			headings = append(headings, strings.TrimSpace(id))
		}
	}
	require.ElementsMatch(t, rendertest.Rules(), headings)
}
