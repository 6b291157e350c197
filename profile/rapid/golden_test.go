package rapid

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const goldens = "../../../shared/goldens"

// deviations are the cases that are answered otherwise than by Dynamo 1.5.1:
// what we answer (a summary of the pick, or an error), and why.
var deviations = map[string]struct{ want, reason string }{
	"m-err-no-image": {
		"simulated: vllm agg, 8 worker x 1 GPUs, batch 80",
		"image has a default, as Dynamo's webhook gives it one"},
	"m-planner-empty-vllm": {
		"simulated: vllm disagg, 1 prefill x 2 GPUs, batch 1, 1 decode x 2 GPUs, batch 108",
		fixedITL},
	"m-moe-dsv3-h200-sglang32-planner-sla": {
		"simulated: sglang disagg, 1 prefill x 8 GPUs, batch 1, 1 decode x 8 GPUs, batch 64",
		fixedITL},
	"m-err-sla-impossible-planner-vllm": {
		"the SLA cannot be met on 8 x h100_sxm: ttft 1 ms: at best 168.152 ms; itl 0.1 ms: at best 6.299 ms (best achievable: ttft 168.152 ms, itl 6.299 ms)",
		unmetSLA},
	"m-err-itl-impossible-trtllm": {
		"the SLA cannot be met on 8 x h200_sxm: itl 1 ms: at best 5.28 ms (best achievable: ttft 184.585 ms, itl 5.28 ms)",
		unmetSLA},
	"m-dsv3-l40s-naive": {
		"deepseek-ai/DeepSeek-V3 does not fit in one node: it needs 981 GiB (1.5 times its weights), 8 x l40s have 360 GiB",
		"it does not fit, and Dynamo deploys it"},
	"m-sku-gb200-sxm-trtllm": {
		"simulated: trtllm agg, 8 worker x 1 GPUs, batch 112",
		"AIConfigurator calls the system gb200"},
	"m-sku-v100-sxm-vllm": {
		"naive: vllm agg, 4 worker x 2 GPUs, batch 128",
		realVRAM},
	"m-sku-v100-naive-planner": {
		"naive: vllm agg, 4 worker x 2 GPUs, batch 128",
		realVRAM},
	"m-sku-v100-naive-mocker": {
		"naive: vllm agg, 4 worker x 2 GPUs, batch 128",
		realVRAM},
	"m-sku-t4-vllm": {
		"naive: vllm agg, 2 worker x 2 GPUs, batch 128",
		realVRAM},
	"m-sku-l4-vllm": {
		"estimated: vllm agg, 1 worker x 4 GPUs, batch 64",
		peakFigures},
	"m-sku-a30-vllm": {
		"estimated: vllm agg, 2 worker x 2 GPUs, batch 64",
		peakFigures},
	"m-sku-h100-pcie-vllm": {
		"estimated: vllm agg, 8 worker x 1 GPUs, batch 176",
		peakFigures},
	"m-sku-a100-pcie-trtllm": {
		"estimated: trtllm agg, 8 worker x 1 GPUs, batch 96",
		peakFigures},
}

const (
	fixedITL    = "Dynamo's autoscale pick misses the ITL target; same engines, smaller batch"
	unmetSLA    = "Dynamo deploys what misses the SLA"
	realVRAM    = "Dynamo takes every GPU that AIConfigurator does not know for an H200 of 141 GiB"
	peakFigures = "Dynamo is naive where AIConfigurator can estimate"
)

// TestGoldenPicks profiles what Dynamo's own profiler answered and compares the
// pick, its prediction and the flags of its engines. Cases of equal inputs are
// profiled once.
func TestGoldenPicks(t *testing.T) {
	if _, err := os.Stat(goldens); err != nil {
		t.Skipf("no goldens: %s", err)
	}
	interpreter := python(t)
	p := New(Options{Python: interpreter, Jobs: 2})
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	// Its golden was made with a readable model cache.
	dir := modelDirectory(t, shipped(t, interpreter, "meta-llama--Meta-Llama-3.1-70B"))
	var once sync.Map
	cases, err := filepath.Glob(goldens + "/*/dgdr.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, file := range cases {
		name := filepath.Base(filepath.Dir(file))
		in, ok := goldenInputs(t, file)
		if !ok {
			continue // Dynamo's refusals before a sweep are profile's to test
		}
		t.Run(name, func(t *testing.T) {
			if heavy(name) && os.Getenv("DYNAMO_CMP_GOLDENS") != "all" {
				t.Skip("takes CPU minutes: set DYNAMO_CMP_GOLDENS=all")
			}
			t.Parallel()
			modelDir := ""
			if name == "seed-llama-70b" {
				modelDir = dir
			}
			run, _ := once.LoadOrStore(in.Key()+profile.Key(modelDir), sync.OnceValues(func() (*profile.Result, error) {
				res, _, err := p.Profile(t.Context(), in, modelDir)
				return res, err
			}))
			res, err := run.(func() (*profile.Result, error))()
			compareGolden(t, name, res, err)
		})
	}
}

// heavy cases sweep experts or several backends, or repeat a lighter case.
func heavy(name string) bool {
	return strings.HasPrefix(name, "m-moe-") || strings.HasPrefix(name, "dyn-") || strings.Contains(name, "auto16")
}

// goldenInputs reads the inputs of a case that reached AIConfigurator.
func goldenInputs(t *testing.T, file string) (profile.Inputs, bool) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	// The image is not among the inputs; some cases have one that profile refuses.
	data = regexp.MustCompile(`(?m)^  image: .*$`).ReplaceAll(data, []byte("  image: "+profile.DefaultImage))
	docs, err := profile.Documents(file, data)
	require.NoError(t, err)
	req, err := profile.Parse(docs[0], profile.Defaults{})
	if err != nil {
		return profile.Inputs{}, false
	}
	in := req.Inputs()
	return in, in.Strategy == profile.StrategyRapid
}

func compareGolden(t *testing.T, name string, res *profile.Result, err error) {
	got := summary(res, err)
	if d, ok := deviations[name]; ok {
		require.Equal(t, d.want, got, "deviation: %s", d.reason)
		return
	}
	picked := filepath.Join(goldens, name, "capture", "picked_dgd.yaml")
	if _, missing := os.Stat(picked); errors.Is(missing, os.ErrNotExist) {
		require.Error(t, err, "Dynamo refuses: %s", got)
		t.Log(err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, goldenRoles(t, picked), roles(res.Pick))
	require.Equal(t, goldenRow(t, filepath.Join(goldens, name, "capture", "best_config.csv")), predicted(res.Pick))
	encoded, err := res.Encode()
	require.NoError(t, err)
	require.NotContains(t, string(encoded), os.TempDir())
}

// summary is a pick in one line.
func summary(res *profile.Result, err error) string {
	if err != nil {
		return err.Error()
	}
	p := res.Pick
	text := fmt.Sprintf("%s: %s %s", res.Confidence, p.Backend, p.Mode)
	for _, r := range p.Roles {
		text += fmt.Sprintf(", %d %s x %d GPUs, batch %d", r.Replicas, r.Name, r.GPUsPerEngine, r.BatchSize)
	}
	return text
}

// goldenRole is what a DGD says of a role, before Dynamo's additions.
type goldenRole struct {
	Replicas int
	Args     []string
}

func roles(p profile.Pick) map[profile.RoleName]goldenRole {
	out := map[profile.RoleName]goldenRole{}
	for _, r := range p.Roles {
		out[r.Name] = goldenRole{r.Replicas, normalise(drop(r.Args, "--max-model-len"))} // dropped by Dynamo
	}
	return out
}

func goldenRoles(t *testing.T, file string) map[profile.RoleName]goldenRole {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var dgd struct {
		Spec struct {
			Components []struct {
				Type        string
				Replicas    int
				PodTemplate struct {
					Spec struct{ Containers []struct{ Args []string } }
				} `yaml:"podTemplate"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(data, &dgd))
	out := map[profile.RoleName]goldenRole{}
	for _, c := range dgd.Spec.Components {
		if c.Type != "frontend" {
			args := drop(c.PodTemplate.Spec.Containers[0].Args,
				"--model", "--model-path", "--served-model-name", "--disaggregation-mode", "--kv-transfer-config") // added by Dynamo
			out[profile.RoleName(c.Type)] = goldenRole{c.Replicas, normalise(args)}
		}
	}
	return out
}

// normalise forgets what Dynamo raises to the attention ranks of an SGLang prefill
// engine (profiler/utils/config_modifiers/sglang.py).
func normalise(args []string) []string {
	i := slices.Index(args, "--max-running-requests")
	if slices.Contains(args, "--enable-dp-attention") && i >= 0 && len(args[i+1]) == 1 {
		return drop(args, "--max-running-requests", "--cuda-graph-bs")
	}
	return args
}

// drop removes flags that have a value.
func drop(args []string, flags ...string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if slices.Contains(flags, args[i]) {
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// goldenRow is the parallelism, batch sizes and prediction of the picked row; nil
// for a naive pick.
func goldenRow(t *testing.T, file string) map[string]float64 {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	if len(records) < 2 {
		return nil
	}
	out := map[string]float64{}
	for i, column := range records[0] {
		base := strings.TrimPrefix(strings.TrimPrefix(column, "(p)"), "(d)")
		if slices.Contains([]string{"tp", "pp", "dp", "moe_tp", "moe_ep", "bs", "workers", "ttft", "tpot", "request_latency", "concurrency", "tokens/s/gpu"}, base) &&
			!strings.HasPrefix(column, "(e)") {
			out[column], err = strconv.ParseFloat(records[1][i], 64)
			require.NoError(t, err)
		}
	}
	return out
}

func predicted(p profile.Pick) map[string]float64 {
	if p.Expected == nil {
		return nil
	}
	out := map[string]float64{
		"ttft": p.Expected.TTFTMillis, "tpot": p.Expected.ITLMillis, "request_latency": p.Expected.RequestLatencyMillis,
		"concurrency": p.Expected.Concurrency, "tokens/s/gpu": p.Expected.TokensPerSecondPerGPU,
	}
	for _, r := range p.Roles {
		prefix := map[profile.RoleName]string{profile.RolePrefill: "(p)", profile.RoleDecode: "(d)"}[r.Name]
		if prefix != "" {
			out[prefix+"workers"] = float64(r.WorkersPerReplica)
		}
		out[prefix+"tp"], out[prefix+"pp"], out[prefix+"dp"] = float64(r.Parallelism.TP), float64(r.Parallelism.PP), float64(r.Parallelism.DP)
		out[prefix+"moe_tp"], out[prefix+"moe_ep"] = float64(r.Parallelism.MoETP), float64(r.Parallelism.MoEEP)
		out[prefix+"bs"] = float64(r.BatchSize)
	}
	return out
}
