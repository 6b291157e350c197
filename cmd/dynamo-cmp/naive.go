package main

import (
	"strconv"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// naiveBatch is the batch that AIConfigurator's naive generator assumes
// (aiconfigurator/generator/naive.py).
const naiveBatch = 128

// naive is a result made without profiling: one aggregated engine over the GPUs
// of a node. The model's size is unknown here, so nothing says that it fits. It is
// for looking at manifests before a profile exists, never for production.
func naive(req *profile.Request) *profile.Result {
	in := req.Inputs()
	backend := in.Backend
	if backend == profile.BackendAuto {
		backend = profile.BackendVLLM
	}
	tp := min(in.Hardware.GPUsPerNode, in.Hardware.TotalGPUs)
	replicas := in.Hardware.TotalGPUs / tp
	return &profile.Result{
		Schema:     profile.ResultSchema,
		Inputs:     in,
		Confidence: profile.Naive,
		Reason:     "no profiling result: one engine per node, memory and SLA unverified",
		Pick: profile.Pick{
			Mode:      profile.Aggregated,
			Backend:   backend,
			System:    in.Hardware.System,
			TotalGPUs: replicas * tp,
			Roles: []profile.Role{{
				Name:          profile.RoleWorker,
				Replicas:      replicas,
				GPUsPerEngine: tp,
				Parallelism:   profile.Parallelism{TP: tp, PP: 1, DP: 1, MoETP: 1, MoEEP: 1},
				BatchSize:     naiveBatch,
				Args:          naiveArgs(backend, tp, in.Workload),
			}},
		},
		Warnings:   []string{"rendered without a profiling result (--on-miss naive): memory and SLA are unverified"},
		Provenance: profile.Provenance{Tool: "none"},
	}
}

// naiveArgs are the flags of a dense aggregated engine, by the rules of
// AIConfigurator's generator (aiconfigurator/generator/rule_plugin).
func naiveArgs(backend profile.Backend, tp int, w profile.InputWorkload) []string {
	const maxSequences = 512
	switch backend {
	case profile.BackendSGLang:
		return []string{
			"--tensor-parallel-size", strconv.Itoa(tp), "--pipeline-parallel-size", "1", "--data-parallel-size", "1",
			"--max-running-requests", strconv.Itoa(maxSequences), "--max-prefill-tokens", strconv.Itoa(w.ISL + 1500),
			"--enable-mixed-chunk", "--expert-parallel-size", "1",
		}
	case profile.BackendTRTLLM:
		const block = 32
		tokens := (naiveBatch + w.ISL + 500 + block - 1) / block * block
		return []string{
			"--tensor-parallel-size", strconv.Itoa(tp), "--pipeline-parallel-size", "1", "--expert-parallel-size", "1",
			"--max-batch-size", strconv.Itoa(naiveBatch), "--max-num-tokens", strconv.Itoa(tokens),
			"--trtllm.kv_cache_config.tokens_per_block", strconv.Itoa(block),
			"--trtllm.kv_cache_config.enable_block_reuse", "false",
		}
	}
	return []string{
		"--tensor-parallel-size", strconv.Itoa(tp), "--pipeline-parallel-size", "1", "--data-parallel-size", "1",
		"--max-num-seqs", strconv.Itoa(maxSequences), "--max-num-batched-tokens", strconv.Itoa(maxSequences + w.ISL + 1500),
	}
}
