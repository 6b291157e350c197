package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/render/rendertest"
)

const goldens = "../../../shared/goldens"

// TestGoldens answers every request that Dynamo's own profiler was recorded on,
// as a user would: one run over a repository that holds them all, with the real
// AIConfigurator, a store and locks. Picks and predictions are those of the
// recording, and the rendered documents equal Dynamo's but for the rules of
// docs/deviations.md; where we answer otherwise, or not, a table says what and why.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob(goldens + "/*/dgdr.yaml")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no goldens beside the repository")
	}
	if os.Getenv("DYNAMO_CMP_GOLDENS") == "" {
		t.Skip("takes 12 CPU minutes where nothing is cached: make test sets DYNAMO_CMP_GOLDENS")
	}
	python := aiconfigurator(t)
	if python == "" {
		t.Skip("no AIConfigurator: make venv")
	}
	outcomes := answerGoldens(t, files, python)
	comparison := rendertest.New()
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			o, ok := outcomes[filepath.Base(dir)]
			require.True(t, ok)
			checkGolden(t, dir, o, comparison)
		})
	}
	require.Empty(t, comparison.Dead(), "rules that no golden needs")
}

// checkGolden compares one outcome with its recording.
func checkGolden(t *testing.T, dir string, o outcome, comparison *rendertest.Comparison) {
	name := filepath.Base(dir)
	if d, ok := answeredOtherwise[name]; ok {
		require.Equal(t, d.want, summary(o), d.why)
		return
	}
	if _, err := os.Stat(filepath.Join(dir, "final_config.yaml")); err != nil {
		if o.err == nil {
			_, o.err = rendered(t, o)
		}
		require.Error(t, o.err, "Dynamo refuses: %s", summary(o))
		return
	}
	require.NoError(t, o.err)
	require.Equal(t, goldenRow(t, filepath.Join(dir, "capture", "best_config.csv")), predicted(o.result.Pick))
	out, err := rendered(t, o)
	if why, ok := notRendered[name]; ok {
		require.Error(t, err, why)
		return
	}
	require.NoError(t, err)
	require.NoError(t, comparison.Compare(dir, out))
	// The tests with a real API server take them from there.
	if keep := os.Getenv("DYNAMO_CMP_RENDERS"); keep != "" {
		require.NoError(t, os.WriteFile(filepath.Join(keep, name+".yaml"), out, 0o644))
	}
}

// rendered is what dynamo-cmp generate prints for an outcome.
func rendered(t *testing.T, o outcome) ([]byte, error) {
	t.Helper()
	tree, at, err := render.OpenTree(o.job.dir)
	require.NoError(t, err)
	defer tree.Close()
	src, err := tree.Load(at)
	require.NoError(t, err)
	return render.Build(t.Context(), src, func(context.Context, *profile.Request) (render.Answer, error) {
		return render.Answer{Result: o.result, Digest: string(o.digest)}, nil
	})
}

// answerGoldens profiles every case in one repository, by the case's name.
func answerGoldens(t *testing.T, files []string, python string) map[string]outcome {
	t.Helper()
	repo := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
	for _, file := range files {
		data, err := rendertest.Request(filepath.Dir(file))
		require.NoError(t, err)
		app := filepath.Join(repo, filepath.Base(filepath.Dir(file)))
		require.NoError(t, os.Mkdir(app, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(app, "dgdr.yaml"), data, 0o644))
	}
	jobs, err := findJobs(t.Context(), []string{repo})
	require.NoError(t, err)
	models, err := filepath.Abs("../../examples/gitops-repo/platform/model-configs")
	require.NoError(t, err)
	store := goldenStore(t)
	progress := newProgress(nil)
	// One recording was made where the model's configuration could not be read.
	unmounted := slices.IndexFunc(jobs, func(j job) bool { return filepath.Base(j.dir) == "seed-llama-70b-nomount-offline" })
	outcomes := map[string]outcome{}
	answer := func(jobs []job, models ...string) {
		for _, o := range run(t.Context(), jobs, runOptions{store: store, jobs: 2, python: python, modelConfigs: models}, progress) {
			outcomes[filepath.Base(o.job.dir)] = o
		}
	}
	answer(jobs[unmounted : unmounted+1])
	answer(slices.Delete(jobs, unmounted, unmounted+1), models)
	return outcomes
}

// goldenStore is a store outside the checkout for the answers of this very
// profiler: as long as nothing of it changes, equal inputs are hits.
func goldenStore(t *testing.T) string {
	t.Helper()
	cacheDir, err := os.UserCacheDir()
	require.NoError(t, err)
	hash := sha256.New()
	for _, pattern := range []string{"../../profile/rapid/*.*", "../../profile/result.go", "../../profile/sku.go"} {
		sources, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, sources)
		for _, source := range sources {
			data, err := os.ReadFile(source)
			require.NoError(t, err)
			if !strings.HasSuffix(source, "_test.go") {
				hash.Write(data)
			}
		}
	}
	return "oci-layout:" + filepath.Join(cacheDir, "dynamo-cmp", "goldens", hex.EncodeToString(hash.Sum(nil)[:8]))
}

// summary is an outcome in one line.
func summary(o outcome) string {
	if o.err != nil {
		_, text, _ := strings.Cut(o.err.Error(), ": ") // without the position
		return text
	}
	p := o.result.Pick
	text := fmt.Sprintf("%s: %s %s", o.result.Confidence, p.Backend, p.Mode)
	for _, r := range p.Roles {
		text += fmt.Sprintf(", %d %s x %d GPUs, batch %d", r.Replicas, r.Name, r.GPUsPerEngine, r.BatchSize)
	}
	return text
}

// notRendered are the recordings whose manifests we do not render, and why.
var notRendered = map[string]string{
	"m-override-unknown-component-vllm": "the override would be lost in silence",
}

// Why picks differ; each is a section of docs/deviations.md.
const (
	autoscaleITL = "Dynamo's autoscale pick misses the ITL that was asked for; same engines, smaller batch"
	unmetSLA     = "Dynamo answers with what misses the SLA"
	realVRAM     = "Dynamo assumes 141 GiB for a GPU that AIConfigurator does not know"
	realEstimate = "Dynamo falls back to a memory fit where AIConfigurator can estimate"
)

// answeredOtherwise are the recordings that we answer otherwise than Dynamo 1.5.1.
var answeredOtherwise = map[string]struct{ want, why string }{
	"m-err-no-image":                       {"simulated: vllm agg, 8 worker x 1 GPUs, batch 80", "the image has a default, as Dynamo's webhook gives it one"},
	"m-override-nobinary-vllm":             {"simulated: vllm agg, 4 worker x 2 GPUs, batch 80", "Dynamo missed a binary of its operator, which we do not need"},
	"m-image-digest-vllm":                  {"spec.image: must not be pinned by digest: the engine images are derived from its name and would keep a digest that is not theirs; use a version tag", "as it says"},
	"m-pvc-no-path-vllm":                   {"spec.modelCache.pvcModelPath: is required: without it Dynamo serves a path that does not exist; set the model's directory in the claim", "as it says"},
	"m-dsv3-l40s-naive":                    {`request "golden": deepseek-ai/DeepSeek-V3 does not fit in one node: it needs 981 GiB (1.5 times its weights), 8 x l40s have 360 GiB`, "it does not fit, and Dynamo deploys it"},
	"m-sku-gb200-sxm-trtllm":               {"simulated: trtllm agg, 8 worker x 1 GPUs, batch 112", "AIConfigurator calls the system gb200"},
	"m-sku-v100-sxm-vllm":                  {"naive: vllm agg, 4 worker x 2 GPUs, batch 128", realVRAM},
	"m-sku-v100-naive-planner":             {"naive: vllm agg, 4 worker x 2 GPUs, batch 128", realVRAM},
	"m-sku-v100-naive-mocker":              {"naive: vllm agg, 4 worker x 2 GPUs, batch 128", realVRAM},
	"m-sku-t4-vllm":                        {"naive: vllm agg, 2 worker x 2 GPUs, batch 128", realVRAM},
	"m-sku-l4-vllm":                        {"estimated: vllm agg, 1 worker x 4 GPUs, batch 64", realEstimate},
	"m-sku-a30-vllm":                       {"estimated: vllm agg, 2 worker x 2 GPUs, batch 64", realEstimate},
	"m-sku-h100-pcie-vllm":                 {"estimated: vllm agg, 8 worker x 1 GPUs, batch 176", realEstimate},
	"m-sku-a100-pcie-trtllm":               {"estimated: trtllm agg, 8 worker x 1 GPUs, batch 96", realEstimate},
	"m-moe-dsv3-h200-sglang32-planner-sla": {"simulated: sglang disagg, 1 prefill x 8 GPUs, batch 1, 1 decode x 8 GPUs, batch 64", autoscaleITL},
	"m-err-itl-impossible-trtllm":          {`request "golden": the SLA cannot be met on 8 x h200_sxm: itl 1 ms: at best 5.28 ms (best achievable: ttft 184.585 ms, itl 5.28 ms)`, unmetSLA},
	"m-err-sla-impossible-planner-vllm":    {`request "golden": the SLA cannot be met on 8 x h100_sxm: ttft 1 ms: at best 168.152 ms; itl 0.1 ms: at best 6.299 ms (best achievable: ttft 168.152 ms, itl 6.299 ms)`, unmetSLA},
}
