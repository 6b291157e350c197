package rapid

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// python is the interpreter that has AIConfigurator.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DYNAMO_CMP_PYTHON")
	if path == "" {
		path = filepath.Join("..", "..", ".venv", "bin", "python")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no AIConfigurator: %s: set DYNAMO_CMP_PYTHON, or make venv", path)
	}
	abs, err := filepath.Abs(path)
	require.NoError(t, err)
	return abs
}

// shipped is the configuration that AIConfigurator ships for a model.
func shipped(t *testing.T, interpreter, flat string) []byte {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(interpreter), "../lib/python3*/site-packages/aiconfigurator_core/model_configs", flat+"_config.json"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	data, err := os.ReadFile(found[0])
	require.NoError(t, err)
	return data
}

// modelDirectory is a directory with a config.json.
func modelDirectory(t *testing.T, config []byte) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600))
	return dir
}

// inputs is a request of the default workload and SLA on 8 GPUs.
func inputs(model, system string) profile.Inputs {
	return profile.Inputs{
		Schema: profile.InputsSchema, Model: model, Backend: profile.BackendVLLM, Strategy: profile.StrategyRapid,
		Hardware: profile.InputHardware{System: system, TotalGPUs: 8, GPUsPerNode: 8},
		Workload: profile.InputWorkload{ISL: 4000, OSL: 1000},
		SLA:      profile.Targets{TTFTMillis: 2000, ITLMillis: 30},
		Picking:  profile.PickDefault,
	}
}

const (
	qwen  = "Qwen/Qwen3-0.6B"
	llama = "meta-llama/Llama-3.1-70B-Instruct" // gated: AIConfigurator ships none of that name
)

// bytesOf is everything that is stored of an answer.
func bytesOf(t *testing.T, p *Profiler, in profile.Inputs, dir string) string {
	t.Helper()
	res, files, err := p.Profile(t.Context(), in, dir)
	require.NoError(t, err)
	data, err := res.Encode()
	require.NoError(t, err)
	_, err = profile.ParseResult(data)
	require.NoError(t, err)
	text := string(data)
	for _, f := range files {
		text += f.Name + "\n" + string(f.Data)
	}
	return text
}

func TestSameInputsSameBytes(t *testing.T) {
	interpreter := python(t)
	cold := New(Options{Python: interpreter})
	defer cold.Close()
	first := bytesOf(t, cold, inputs(qwen, "h100_sxm"), "")
	require.Contains(t, first, "pareto_disagg.csv")
	t.Run("warm", func(t *testing.T) {
		require.Equal(t, first, bytesOf(t, cold, inputs(qwen, "h100_sxm"), ""))
	})
	t.Run("another worker, the model from a directory", func(t *testing.T) {
		other := New(Options{Python: interpreter, ModelConfigs: []string{modelDirectory(t, shipped(t, interpreter, "Qwen--Qwen3-0.6B"))}})
		defer other.Close()
		require.Equal(t, first, bytesOf(t, other, inputs(qwen, "h100_sxm"), ""))
	})
	t.Run("no local path in the answer", func(t *testing.T) {
		in := inputs(llama, "h100_sxm")
		in.Picking = profile.PickAutoscale
		config := shipped(t, interpreter, "meta-llama--Meta-Llama-3.1-70B")
		in.SLA = profile.Targets{TTFTMillis: 2000, ITLMillis: 60}
		dir := modelDirectory(t, config)
		a, b := bytesOf(t, cold, in, dir), bytesOf(t, cold, in, modelDirectory(t, config))
		require.Equal(t, a, b)
		require.NotContains(t, a, filepath.Dir(dir))
		require.Contains(t, a, llama+",4000,1000")
	})
}

// Matching engines by arrays says what AIConfigurator's own loop says.
func TestMatchAtOnce(t *testing.T) {
	cmd := exec.Command(python(t), "testdata/match.py", ".")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", stderr.String())
	compared, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	require.Greater(t, compared, 10_000)
}

// What is said to be installed is what an answer names.
func TestInstalled(t *testing.T) {
	p := New(Options{Python: python(t)})
	defer p.Close()
	res, _, err := p.Profile(t.Context(), inputs(qwen, "h100_sxm"), "")
	require.NoError(t, err)
	got, err := p.Installed(t.Context(), res.Pick.System, res.Pick.Backend, res.Provenance.Database)
	require.NoError(t, err)
	require.Equal(t, Installed{res.Provenance.Tool, res.Provenance.ToolVersion, res.Pick.BackendVersion}, got)
	got, err = p.Installed(t.Context(), "no-such-system", "vllm", "")
	require.NoError(t, err)
	require.Equal(t, Installed{Tool: res.Provenance.Tool, Version: res.Provenance.ToolVersion}, got)
	got, err = p.Installed(t.Context(), "no-such-system", "vllm", "silicon")
	require.NoError(t, err)
	require.Empty(t, got.Tables)
}

func TestAnswers(t *testing.T) {
	interpreter := python(t)
	p := New(Options{Python: interpreter})
	defer p.Close()
	with := func(in profile.Inputs, change func(*profile.Inputs)) profile.Inputs {
		change(&in)
		return in
	}
	llamaDir := modelDirectory(t, shipped(t, interpreter, "meta-llama--Meta-Llama-3.1-70B"))
	for _, c := range []struct {
		name string
		in   profile.Inputs
		dir  string
		want string // of summary
	}{
		{"ttft out of reach", with(inputs(qwen, "h100_sxm"), func(in *profile.Inputs) { in.SLA.TTFTMillis = 1 }), "",
			"the SLA cannot be met on 8 x h100_sxm: ttft 1 ms: at best 24.44 ms (best achievable: ttft 24.44 ms, itl 1.513 ms)"},
		{"itl out of reach", with(inputs(qwen, "h100_sxm"), func(in *profile.Inputs) { in.SLA.ITLMillis = 0.5 }), "",
			"the SLA cannot be met on 8 x h100_sxm: itl 0.5 ms: at best 1.513 ms (best achievable: ttft 24.44 ms, itl 1.513 ms)"},
		{"end to end out of reach", with(inputs(qwen, "h100_sxm"), func(in *profile.Inputs) {
			in.SLA = profile.Targets{TTFTMillis: 100, ITLMillis: 100, E2ELatencyMillis: 100}
		}), "",
			"the SLA cannot be met on 8 x h100_sxm: e2eLatency 100 ms: at best 1544.569 ms (best achievable: ttft 24.44 ms, itl 1.513 ms)"},
		{"a planner's end to end bound", with(inputs(qwen, "h100_sxm"), func(in *profile.Inputs) {
			in.Picking, in.SLA = profile.PickAutoscale, profile.Targets{TTFTMillis: 8000, ITLMillis: 8000, E2ELatencyMillis: 8000}
		}), "",
			"simulated: vllm disagg, 1 prefill x 1 GPUs, batch 1, 1 decode x 8 GPUs, batch 264"},
		{"a planner's targets out of reach", with(inputs(qwen, "h100_sxm"), func(in *profile.Inputs) {
			in.Picking, in.SLA.TTFTMillis = profile.PickAutoscale, 1
		}), "",
			"the SLA cannot be met on 8 x h100_sxm: ttft 1 ms: at best 14.296 ms (best achievable: ttft 14.296 ms, itl 1.45 ms)"},
		{"the faster mode misses the ITL", with(inputs("Qwen/Qwen3-32B", "l40s"), func(in *profile.Inputs) {
			in.Backend, in.SLA = profile.BackendSGLang, profile.Targets{TTFTMillis: 2000, ITLMillis: 50}
			in.Workload.ISL, in.Workload.OSL = 2000, 500
		}), "",
			"simulated: sglang agg, 4 worker x 2 GPUs, batch 2"},
		{"the fastest prefill engines split the context", with(inputs("Qwen/Qwen3-30B-A3B", "b200_sxm"), func(in *profile.Inputs) {
			in.Backend, in.Picking, in.SLA = profile.BackendSGLang, profile.PickAutoscale, profile.Targets{TTFTMillis: 2000, ITLMillis: 50}
			in.Workload.ISL, in.Workload.OSL = 2000, 500
		}), "",
			"simulated: sglang disagg, 1 prefill x 2 GPUs, batch 1, 1 decode x 2 GPUs, batch 488"},
		{"isl beyond the context", with(inputs(qwen, "h100_sxm"), func(in *profile.Inputs) { in.Workload.ISL = 50_000 }), "",
			"workload.isl 50000 exceeds the context of Qwen/Qwen3-0.6B: 40960 tokens"},
		{"no output", with(inputs(qwen, "h100_sxm"), func(in *profile.Inputs) { in.Workload.OSL = 0 }), "",
			"workload.osl is 0: must be at least 1"},
		{"too few GPUs", with(inputs(llama, "h100_sxm"), func(in *profile.Inputs) { in.Hardware.TotalGPUs = 1 }), llamaDir,
			"meta-llama/Llama-3.1-70B-Instruct does not fit: its weights need 147 GiB, 1 x h100_sxm have 80 GiB"},
		{"an unknown model", inputs("acme/NoSuch-7B", "h100_sxm"), "",
			"model acme/NoSuch-7B: its config.json is neither shipped with AIConfigurator nor reachable: downloads are off, unless HF_HUB_OFFLINE=0 is set; mount the model cache that spec.modelCache names, or give a directory that holds the file with --model-config DIR"},
		{"estimated", inputs(qwen, "h100_pcie"), "",
			"estimated: vllm agg, 8 worker x 1 GPUs, batch 96"},
		{"naive", inputs(qwen, "t4"), "",
			"naive: vllm agg, 8 worker x 1 GPUs, batch 128"},
		{"naive, eight bits per weight", inputs("Qwen/Qwen3-32B-FP8", "l40"), "",
			"naive: vllm agg, 8 worker x 1 GPUs, batch 128"},
		{"naive, the VRAM of the request", with(inputs("Qwen/Qwen3-32B-FP8", "l40"), func(in *profile.Inputs) { in.Hardware.VRAMMiB = 24576 }), "",
			"naive: vllm agg, 4 worker x 2 GPUs, batch 128"},
		{"naive, does not fit", inputs(llama, "t4"), llamaDir,
			"meta-llama/Llama-3.1-70B-Instruct does not fit: its weights need 147 GiB, 8 x t4 have 128 GiB"},
		{"naive, experts", inputs("Qwen/Qwen3-30B-A3B", "mi300"), "",
			"naive: vllm agg, 8 worker x 1 GPUs, batch 128"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, _, err := p.Profile(t.Context(), c.in, c.dir)
			require.Equal(t, c.want, summary(res, err))
		})
	}
}

// A runner that was killed closes the pipe, whatever its worker is doing.
func TestWorkerEndsWithItsCaller(t *testing.T) {
	w, err := startWorker(t.Context(), workerCommand(python(t)), handshakeTimeout)
	require.NoError(t, err)
	defer w.kill()
	s := &session{in: inputs(qwen, "h100_sxm"), worker: w, database: silicon, backend: profile.BackendAuto, say: func(string) {
		require.NoError(t, w.stdin.Close())
	}}
	s.model.Path = qwen
	require.EqualError(t, s.call(t.Context(), "sweep", s.sweepParams(), &outcome{}),
		"aiconfigurator: sweep: worker: ended without an answer"+w.stderr.String())
}

// summary is an answer in one line.
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
