package servers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The mocker has the parallelism, limits and prefix cache of the engine that it plays.
func TestMockerOfEngine(t *testing.T) {
	for _, c := range []struct{ name, engine, want string }{
		{
			"vllm prefill", "python3 -m dynamo.vllm --tensor-parallel-size 2 --pipeline-parallel-size 1 --max-num-seqs 1 --max-num-batched-tokens 5500 --model /m --served-model-name a/b --no-enable-prefix-caching",
			"--model-path a/b --model-name a/b --engine-type vllm --speedup-ratio 1.5 --data-parallel-size 1 --aic-perf-model --aic-backend vllm --aic-backend-version current " +
				"--aic-system h200_sxm --aic-tp-size 2 --aic-attention-dp-size 1 --aic-moe-tp-size 2 --aic-moe-ep-size 1 --max-num-seqs 1 --max-num-batched-tokens 5500 --no-enable-prefix-caching",
		},
		{
			"vllm experts", "python3 -m dynamo.vllm --tensor-parallel-size=1 --data-parallel-size 8 --enable-expert-parallel --model a/b --enable-prefix-caching",
			"--model-path a/b --model-name a/b --engine-type vllm --speedup-ratio 1.5 --data-parallel-size 8 --aic-perf-model --aic-backend vllm --aic-backend-version current " +
				"--aic-system h200_sxm --aic-tp-size 1 --aic-attention-dp-size 8 --aic-moe-tp-size 1 --aic-moe-ep-size 8",
		},
		{
			"sglang attention data parallelism", "python3 -m dynamo.sglang --tensor-parallel-size 8 --data-parallel-size 4 --enable-dp-attention --expert-parallel-size 8 --max-running-requests 64 --model-path a/b --disable-radix-cache",
			"--model-path a/b --model-name a/b --engine-type sglang --speedup-ratio 1.5 --data-parallel-size 4 --aic-perf-model --aic-backend sglang --aic-backend-version current " +
				"--aic-system h200_sxm --aic-tp-size 2 --aic-attention-dp-size 4 --aic-moe-tp-size 1 --aic-moe-ep-size 8 --max-num-seqs 64 --no-enable-prefix-caching",
		},
		{
			"trtllm", "python3 -m dynamo.trtllm --tensor-parallel-size 4 --max-batch-size 512 --max-num-tokens 4512 --model-path a/b --trtllm.kv_cache_config.enable_block_reuse false",
			"--model-path a/b --model-name a/b --engine-type trtllm --speedup-ratio 1.5 --data-parallel-size 1 --aic-perf-model --aic-backend trtllm --aic-backend-version current " +
				"--aic-system h200_sxm --aic-tp-size 4 --aic-attention-dp-size 1 --aic-moe-tp-size 4 --aic-moe-ep-size 1 --max-num-seqs 512 --max-num-batched-tokens 4512 --no-enable-prefix-caching",
		},
		{"mocker", "python3 -m dynamo.mocker --model-path a/b --speedup-ratio 1.0", "--model-path a/b --speedup-ratio 1.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, strings.Join(engineFlags(strings.Fields(c.engine)).mocker("h200_sxm", 1.5), " "))
		})
	}
}
