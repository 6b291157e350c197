package rapid

import (
	"context"
	"fmt"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const (
	gib = 1 << 30
	mib = 1 << 20
	// headroom is Dynamo's: an engine needs 1.5 times its weights.
	headroom = 1.5
)

// fallback is Dynamo's naive configuration (AIConfigurator: generator/naive.py):
// the smallest power of two of GPUs in one node that holds the model, as often as
// the budget allows. Dynamo assumes 16 bits per weight, ignores the request's
// VRAM and node size, and emits what does not fit; here the checkpoint and the
// hardware count, and what does not fit is an error.
func (s *session) fallback(ctx context.Context, reason string) (*profile.Result, []profile.File, error) {
	hw := s.in.Hardware
	need, vram := headroom*s.weightBytes(), s.vramBytes()
	if need == 0 {
		return nil, nil, fmt.Errorf("%s: config.json does not tell the size of the model, and AIConfigurator has no tables for it on %s", s.in.Model, hw.System)
	}
	gpus := 1
	for float64(gpus)*vram < need {
		gpus *= 2
	}
	if limit := min(hw.GPUsPerNode, hw.TotalGPUs); gpus > limit {
		return nil, nil, fmt.Errorf("%s does not fit in one node: it needs %.0f GiB (1.5 times its weights), %d x %s have %.0f GiB",
			s.in.Model, need/gib, limit, hw.System, float64(limit)*vram/gib)
	}
	backend := backendsOf(s.in.Backend)[0]
	params := map[string]any{
		"path": s.model.Path, "system": hw.System, "backend": backend, "totalGpus": hw.TotalGPUs, "gpusPerNode": hw.GPUsPerNode,
		"isl": s.in.Workload.ISL, "osl": s.in.Workload.OSL, "gpus": gpus, "moe": s.model.MoE,
	}
	var answer struct {
		BatchSize int                 `json:"batchSize"`
		Args      map[string][]string `json:"args"`
	}
	if err := s.call(ctx, "naive", params, &answer); err != nil {
		return nil, nil, err
	}
	par := profile.Parallelism{TP: gpus, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}
	if s.model.MoE {
		par.MoETP = gpus
	}
	replicas := hw.TotalGPUs / gpus
	if s.in.Disaggregated {
		s.warn("the configuration is aggregated: prefill and decode engines cannot be sized without performance tables")
	}
	res := s.result(profile.Naive, profile.Pick{
		Mode: profile.Aggregated, Backend: backend, System: hw.System, TotalGPUs: replicas * gpus,
		Roles: []profile.Role{{
			Name: profile.RoleWorker, Replicas: replicas, GPUsPerEngine: gpus,
			Parallelism: par, BatchSize: answer.BatchSize, Args: answer.Args["agg"],
		}},
	})
	res.Reason = reason
	return res, nil, nil
}

// uncovered says why nothing was simulated.
func (s *session) uncovered() string {
	system := s.in.Hardware.System
	switch {
	case !s.system.Known:
		return fmt.Sprintf("AIConfigurator does not know the system %s", system)
	case len(s.system.Backends) == 0:
		return fmt.Sprintf("AIConfigurator has no measured tables for the system %s", system)
	default:
		var names []string
		for _, b := range backendsOf(s.in.Backend) {
			names = append(names, string(b))
		}
		return fmt.Sprintf("AIConfigurator's tables of %s do not cover %s with %s", system, s.in.Model, strings.Join(names, ", "))
	}
}

// estimated says why a prediction is not simulated from measured tables.
func (s *session) estimated() string {
	if s.database == sol {
		return fmt.Sprintf("AIConfigurator has no measured tables for the system %s: the prediction is computed from peak figures of the hardware and optimistic", s.in.Hardware.System)
	}
	return fmt.Sprintf("AIConfigurator's tables of %s cover %s in part: the rest is transferred from other configurations", s.in.Hardware.System, s.in.Model)
}

// vramBytes is the memory of one GPU.
func (s *session) vramBytes() float64 {
	if v := s.in.Hardware.VRAMMiB; v > 0 {
		return v * mib
	}
	if nominal, ok := profile.VRAMMiB(s.in.Hardware.System); ok && !s.system.Known {
		return nominal * mib
	}
	return s.system.VRAMBytes
}

// weightBytes is the size of the checkpoint: embeddings stay at 16 bits.
func (s *session) weightBytes() float64 {
	m := s.model
	return float64(m.Embeddings)*2 + float64(m.Parameters-m.Embeddings)*m.bytesPerWeight()
}

// bytesPerWeight counts block scales; a checkpoint without quantization loads at
// 16 bits whatever it is stored in.
func (m modelFacts) bytesPerWeight() float64 {
	q := m.Quantization
	kind := q.Method + " " + q.Algorithm
	switch {
	case strings.Contains(kind, "fp4"), q.Bits == 4:
		return 4.5 / 8 // 4 bits, and 8 for the scale of 16 weights
	case q.Bits > 0:
		return float64(q.Bits) / 8
	case strings.Contains(kind, "fp8"), strings.Contains(kind, "w8a8"):
		return 1
	case strings.Contains(kind, "awq"), strings.Contains(kind, "gptq"):
		return 4.5 / 8
	default:
		return 2
	}
}
