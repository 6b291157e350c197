package rapid

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// recorded is one enumeration by Dynamo's own code.
type recorded struct {
	Model       string           `json:"model"`
	System      string           `json:"system"`
	Backend     profile.Backend  `json:"backend"`
	GPUsPerNode int              `json:"num_gpus_per_node"`
	TotalGPUs   int              `json:"total_gpus"`
	ISL         int              `json:"isl"`
	OSL         int              `json:"osl"`
	Prefill     []recordedEngine `json:"prefill"`
	Decode      []recordedEngine `json:"decode"`
}

type recordedEngine struct {
	TP    int      `json:"tp"`
	PP    int      `json:"pp"`
	DP    int      `json:"dp"`
	MoETP int      `json:"moe_tp"`
	MoEEP int      `json:"moe_ep"`
	Args  []string `json:"args"`
}

func (r recorded) String() string {
	return fmt.Sprintf("%s %s %s %d/%d", r.Model, r.System, r.Backend, r.GPUsPerNode, r.TotalGPUs)
}

func (r recorded) inputs() profile.Inputs {
	return profile.Inputs{
		Schema: profile.InputsSchema, Model: r.Model, Backend: r.Backend, Strategy: profile.StrategyThorough,
		Hardware: profile.InputHardware{System: r.System, TotalGPUs: r.TotalGPUs, GPUsPerNode: r.GPUsPerNode},
		Workload: profile.InputWorkload{ISL: r.ISL, OSL: r.OSL},
		SLA:      profile.Targets{TTFTMillis: 2000, ITLMillis: 30},
		Picking:  profile.PickDefault,
	}
}

func labels(roles []profile.Role) string {
	var names []string
	for _, r := range roles {
		names = append(names, r.Parallelism.Label())
	}
	return strings.Join(names, " ")
}

// deviations are the recorded enumerations that ours differs from: prefill, then
// decode where that differs, or the error. docs/deviations.md explains each.
var deviations = map[string][]string{
	// unpairable: an engine over the whole budget is never picked
	"Qwen/Qwen3-32B h200_sxm vllm 8/8":       {"tp1 tp2 tp4"},
	"Qwen/Qwen3-30B-A3B h200_sxm sglang 8/8": {"tp1-dp2-moeep2 tp1-dp4-moeep4 tp2-moeep2 tp2-moetp2 tp4-moeep4 tp4-moetp4"},
	"Qwen/Qwen3-30B-A3B h200_sxm vllm 8/8":   {"tp1-dp2-moeep2 tp1-dp4-moeep4 tp2-moeep2 tp2-moetp2 tp4-moeep4 tp4-moetp4"},
	"RUN/model h200_sxm vllm 2/2":            {"tp1"},
	// expertsOnTRTLLM: its flags are known, so it is measured
	"Qwen/Qwen3-235B-A22B h100_sxm trtllm 8/32": {"tp1-dp16-moeep16 tp16-moetp16"},
	// checkpointBytes: eight bits per weight
	"deepseek-ai/DeepSeek-R1 h200_sxm sglang 8/32": {"tp1-dp8-moeep8 tp1-dp16-moeep16 tp8-moeep8"},
	"deepseek-ai/DeepSeek-R1 h200_sxm vllm 8/32":   {"tp1-dp8-moeep8 tp1-dp16-moeep16 tp8-moeep8 tp16-moeep16"},
	"deepseek-ai/DeepSeek-R1 h100_sxm sglang 8/32": {"tp1-dp16-moeep16"},
	"deepseek-ai/DeepSeek-R1 b200_sxm sglang 8/64": {"tp1-dp8-moeep8 tp8-moeep8"},
	// noEngine: an error in place of empty lists
	"meta-llama/Meta-Llama-3.1-405B h200_sxm vllm 8/16": {"meta-llama/Meta-Llama-3.1-405B does not fit: an engine needs 1305 GiB (1.5 times its weights), which is 16 x h200_sxm, and an engine of a model without experts stays within a node, which has 8"},
	"meta-llama/Meta-Llama-3.1-405B h200_sxm vllm 8/8":  {"meta-llama/Meta-Llama-3.1-405B does not fit: an engine needs 1305 GiB (1.5 times its weights), which is 16 x h200_sxm, and hardware.totalGpus is 8"},
}

func TestEnginesAsRecorded(t *testing.T) {
	data, err := os.ReadFile("../../../shared/data/thorough/enumeration.json")
	if err != nil {
		t.Skipf("no recorded enumerations beside the repository: %v", err)
	}
	var cases []recorded
	require.NoError(t, json.Unmarshal(data, &cases))
	interpreter := python(t)
	p := New(Options{Python: interpreter})
	defer p.Close()
	seen := 0
	for _, c := range cases {
		t.Run(c.String(), func(t *testing.T) {
			dir := ""
			if c.Model == "RUN/model" { // the recording's own small dense model
				dir = modelDirectory(t, shipped(t, interpreter, "Qwen--Qwen3-0.6B"))
			}
			engines, err := p.Engines(t.Context(), c.inputs(), dir)
			want := []string{recordedLabels(c.Prefill), recordedLabels(c.Decode)}
			if other := deviations[c.String()]; other != nil {
				require.NotEqual(t, want, other, "no deviation")
				want, seen = []string{other[0], other[len(other)-1]}, seen+1
			}
			if err != nil {
				require.Equal(t, want, []string{err.Error(), err.Error()})
				return
			}
			require.Equal(t, want, []string{labels(engines.Prefill), labels(engines.Decode)})
			requireLimits(t, c.Prefill, engines.Prefill)
			requireLimits(t, c.Decode, engines.Decode)
		})
	}
	require.Equal(t, len(deviations), seen, "every deviation is recorded")
}

// Engines that differ in parallelism differ in flags: Dynamo's do not.
func TestEnginesSayTheirParallelism(t *testing.T) {
	p := New(Options{Python: python(t)})
	defer p.Close()
	const experts = "Qwen/Qwen3-30B-A3B"
	for _, c := range []struct {
		backend profile.Backend
		want    []string // of the decode engines of two GPUs: DEP, TEP, TP
	}{
		{profile.BackendVLLM, []string{
			"--tensor-parallel-size 1 --pipeline-parallel-size 1 --data-parallel-size 2 --enable-expert-parallel --max-num-seqs 1024 --max-num-batched-tokens 1024",
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --data-parallel-size 1 --enable-expert-parallel --max-num-seqs 1024 --max-num-batched-tokens 1024",
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --data-parallel-size 1 --max-num-seqs 1024 --max-num-batched-tokens 1024"}},
		{profile.BackendSGLang, []string{
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --data-parallel-size 2 --max-running-requests 1024 --max-prefill-tokens 5500 --enable-dp-attention --expert-parallel-size 2",
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --data-parallel-size 1 --max-running-requests 1024 --max-prefill-tokens 5500 --expert-parallel-size 2",
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --data-parallel-size 1 --max-running-requests 1024 --max-prefill-tokens 5500 --expert-parallel-size 1"}},
		{profile.BackendTRTLLM, []string{
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --expert-parallel-size 2 --enable-attention-dp --max-batch-size 512 --max-num-tokens 512 --trtllm.moe_tensor_parallel_size 1",
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --expert-parallel-size 2 --max-batch-size 512 --max-num-tokens 512 --trtllm.moe_tensor_parallel_size 1",
			"--tensor-parallel-size 2 --pipeline-parallel-size 1 --expert-parallel-size 1 --max-batch-size 512 --max-num-tokens 512 --trtllm.moe_tensor_parallel_size 2"}},
	} {
		t.Run(string(c.backend), func(t *testing.T) {
			in := recorded{Model: experts, System: "h200_sxm", Backend: c.backend, GPUsPerNode: 4, TotalGPUs: 4, ISL: 4000, OSL: 1000}.inputs()
			engines, err := p.Engines(t.Context(), in, "")
			require.NoError(t, err)
			require.True(t, engines.Model.MoE)
			require.Equal(t, "tp1-dp2-moeep2 tp2-moeep2 tp2-moetp2", labels(engines.Decode))
			var got []string
			for i, e := range engines.Decode {
				require.Len(t, c.want, len(engines.Decode))
				args := strings.Join(e.Args, " ")
				got = append(got, args[:min(len(args), len(c.want[i]))])
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestEnginesRefuse(t *testing.T) {
	p := New(Options{Python: python(t)})
	defer p.Close()
	for _, c := range []struct {
		name   string
		change func(*profile.Inputs)
		want   string
	}{
		{"rapid", func(in *profile.Inputs) { in.Strategy = profile.StrategyRapid }, `strategy "rapid" measures no engines`},
		{"any backend", func(in *profile.Inputs) { in.Backend = profile.BackendAuto }, `backend "auto": engines of one backend are measured; name it`},
		{"one GPU", func(in *profile.Inputs) { in.Hardware.TotalGPUs = 1 },
			"hardware.totalGpus is 1: separate prefill and decode engines, which planner, mocker and thorough ask for, need at least 2"},
		{"no pair", func(in *profile.Inputs) {
			in.Model, in.Hardware.System, in.Hardware.TotalGPUs = "Qwen/Qwen3-32B", "h100_sxm", 3
		},
			"hardware.totalGpus 3: the smallest prefill and decode engine of Qwen/Qwen3-32B take 4 GPUs together"},
		{"a GPU nobody knows", func(in *profile.Inputs) { in.Hardware.System = "x1" },
			"hardware.vramMb: the memory of a x1 is not known; to say it: set spec.hardware.vramMb"},
		{"the memory of the request", func(in *profile.Inputs) { in.Hardware.System, in.Hardware.VRAMMiB = "x1", 2000 }, "tp1 tp2 tp4"},
		{"less memory", func(in *profile.Inputs) { in.Hardware.System, in.Hardware.VRAMMiB = "x1", 1000 }, "tp2 tp4"},
		{"the memory of a T4", func(in *profile.Inputs) { in.Model, in.Hardware.System = "Qwen/Qwen3-32B-FP8", "t4" }, "tp4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := recorded{Model: qwen, System: "h200_sxm", Backend: profile.BackendVLLM, GPUsPerNode: 8, TotalGPUs: 8, ISL: 4000, OSL: 1000}.inputs()
			c.change(&in)
			engines, err := p.Engines(t.Context(), in, "")
			if err != nil {
				require.EqualError(t, err, c.want)
				return
			}
			require.Equal(t, c.want, labels(engines.Prefill))
		})
	}
}

func recordedLabels(engines []recordedEngine) string {
	var names []string
	for _, e := range engines {
		names = append(names, profile.Parallelism{TP: e.TP, PP: e.PP, DP: e.DP, MoETP: e.MoETP, MoEEP: e.MoEEP}.Label())
	}
	return strings.Join(names, " ")
}

// requireLimits compares the engines' limits with those recorded for the same
// parallelism.
func requireLimits(t *testing.T, want []recordedEngine, got []profile.Role) {
	t.Helper()
	limits := func(args []string) map[string]string {
		found := map[string]string{}
		for i, arg := range args {
			if slices.Contains([]string{"--max-num-seqs", "--max-num-batched-tokens", "--max-running-requests",
				"--max-prefill-tokens", "--max-batch-size", "--max-num-tokens"}, arg) {
				found[arg] = args[i+1]
			}
		}
		return found
	}
	for _, w := range want {
		for _, g := range got {
			if recordedLabels([]recordedEngine{w}) == g.Parallelism.Label() {
				require.NotEmpty(t, limits(g.Args))
				require.Equal(t, limits(w.Args), limits(g.Args))
				require.Positive(t, g.BatchSize)
			}
		}
	}
}
