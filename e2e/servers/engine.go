package servers

import (
	"slices"
	"strconv"
	"strings"
)

// engineFlags are the arguments of an engine's container.
type engineFlags []string

// value is what follows the first of the flags that is there, or a joined value;
// a flag without one has "".
func (f engineFlags) value(flags ...string) (string, bool) {
	for i, arg := range f {
		name, value, joined := strings.Cut(arg, "=")
		if !slices.Contains(flags, name) {
			continue
		}
		if !joined && i+1 < len(f) && !strings.HasPrefix(f[i+1], "--") {
			value = f[i+1]
		}
		return value, true
	}
	return "", false
}

func (f engineFlags) number(flags ...string) int {
	value, _ := f.value(flags...)
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// module is what of Dynamo a container runs, as vllm of dynamo.vllm.
func (f engineFlags) module() string {
	for _, arg := range f {
		if name, ok := strings.CutPrefix(arg, "dynamo."); ok {
			return name
		}
	}
	return ""
}

// served is the name by which clients ask for the model.
func (f engineFlags) served() string {
	for _, flag := range []string{"--served-model-name", "--model-name", "--model", "--model-path"} {
		if name, ok := f.value(flag); ok {
			return name
		}
	}
	return ""
}

// mocker is the command line of the mocker that plays the engine on a system of
// AIConfigurator's: its parallelism decides the timing and the KV capacity, its
// limits and its prefix cache how requests are scheduled. A mocker plays itself.
func (f engineFlags) mocker(system string, speedup float64) []string {
	backend := f.module()
	if backend == "mocker" {
		return slices.Clone(f[slices.Index(f, "dynamo.mocker")+1:])
	}
	tp, dp, ep := f.number("--tensor-parallel-size", "--tp-size", "--tp"), f.number("--data-parallel-size", "--dp-size", "--dp"), 1
	if _, attention := f.value("--enable-dp-attention", "--enable-attention-dp"); attention {
		if backend == "trtllm" {
			dp = tp // every rank attends to requests of its own
		}
		tp = max(1, tp/dp) // SGLang and TensorRT-LLM count all ranks
	}
	if value, ok := f.value("--expert-parallel-size", "--ep-size", "--ep"); ok {
		ep, _ = strconv.Atoi(value)
	} else if _, ok := f.value("--enable-expert-parallel"); ok {
		ep = tp * dp
	}
	ep = max(1, ep)
	args := []string{
		"--model-path", f.served(), "--model-name", f.served(), "--engine-type", backend,
		"--speedup-ratio", strconv.FormatFloat(speedup, 'g', -1, 64), "--data-parallel-size", strconv.Itoa(dp),
		"--aic-perf-model", "--aic-backend", backend, "--aic-backend-version", "current", "--aic-system", system,
		"--aic-tp-size", strconv.Itoa(tp), "--aic-attention-dp-size", strconv.Itoa(dp),
		"--aic-moe-tp-size", strconv.Itoa(max(1, tp*dp/ep)), "--aic-moe-ep-size", strconv.Itoa(ep),
	}
	for _, flags := range [][]string{ // the mocker's is vLLM's, then SGLang's and TensorRT-LLM's
		{"--max-num-seqs", "--max-running-requests", "--max-batch-size"},
		{"--max-num-batched-tokens", "--max-prefill-tokens", "--max-num-tokens"},
		{"--disaggregation-mode"},
	} {
		if value, ok := f.value(flags...); ok {
			args = append(args, flags[0], value)
		}
	}
	reuse, _ := f.value("--trtllm.kv_cache_config.enable_block_reuse")
	if _, off := f.value("--no-enable-prefix-caching", "--disable-radix-cache"); off || reuse == "false" {
		args = append(args, "--no-enable-prefix-caching")
	}
	return args
}
