package rapid

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Engines lists the prefill and decode engines that a thorough search measures
// (AIConfigurator: generator/enumerate.py). They hold the checkpoint 1.5 times,
// and each fits the GPU budget together with an engine of the other role. It is
// an error, which says why, when no such pair exists.
//
// Dynamo assumes 16 bits per weight and 141 GiB for a GPU it does not know, loses
// the expert parallelism of every engine and all engines of a model with experts
// on TensorRT-LLM; here the checkpoint and the hardware count, and the flags are
// those of a picked configuration.
func (p *Profiler) Engines(ctx context.Context, in profile.Inputs, modelDir string) (engines *profile.Engines, err error) {
	if in.Strategy != profile.StrategyThorough {
		return nil, fmt.Errorf("strategy %q measures no engines", in.Strategy)
	}
	if in.Backend == profile.BackendAuto {
		return nil, fmt.Errorf("backend %q: engines of one backend are measured; name it", in.Backend)
	}
	err = p.session(ctx, in, modelDir, func(ctx context.Context, s *session) error {
		engines, err = s.engines(ctx)
		return err
	})
	return engines, err
}

// enumeration is what worker.py answers for engines.
type enumeration struct {
	Fits     bool        `json:"fits"`
	Required int         `json:"required"` // GPUs that hold the model
	Prefill  []candidate `json:"prefill"`
	Decode   []candidate `json:"decode"`
}

// candidate is an engine of one role.
type candidate struct {
	Parallelism profile.Parallelism `json:"parallelism"`
	Args        []string            `json:"args"`
}

func (s *session) engines(ctx context.Context) (*profile.Engines, error) {
	hw := s.in.Hardware
	if _, known := profile.VRAMMiB(hw.System); !known && !s.system.Known && hw.VRAMMiB == 0 {
		return nil, fmt.Errorf("hardware.vramMb: the memory of a %s is not known; to say it: set spec.hardware.vramMb", hw.System)
	}
	weights := s.weightBytes()
	if weights == 0 {
		return nil, fmt.Errorf("%s: config.json does not tell the size of the model", s.in.Model)
	}
	s.say("enumerating engines")
	var found enumeration
	err := s.call(ctx, "engines", map[string]any{
		"path": s.model.Path, "moe": s.model.MoE, "weightBytes": weights, "vramBytes": s.vramBytes(),
		"system": hw.System, "backend": s.in.Backend, "totalGpus": hw.TotalGPUs, "gpusPerNode": hw.GPUsPerNode,
		"isl": s.in.Workload.ISL, "osl": s.in.Workload.OSL,
	}, &found)
	if err != nil {
		return nil, err
	}
	if !found.Fits {
		return nil, s.noEngine(found.Required)
	}
	engines := &profile.Engines{Model: s.model.facts(), ToolVersion: s.worker.hello.Version}
	for _, c := range found.Prefill {
		engines.Prefill = append(engines.Prefill, c.role(profile.RolePrefill, s.in.Backend))
	}
	for _, c := range found.Decode {
		engines.Decode = append(engines.Decode, c.role(profile.RoleDecode, s.in.Backend))
	}
	return engines, s.pairable(engines)
}

// noEngine says why no engine holds the model.
func (s *session) noEngine(required int) error {
	hw := s.in.Hardware
	limit := fmt.Sprintf("hardware.totalGpus is %d", hw.TotalGPUs)
	if required <= hw.TotalGPUs {
		limit = fmt.Sprintf("an engine of a model without experts stays within a node, which has %d", hw.GPUsPerNode)
	}
	return fmt.Errorf("%s does not fit: an engine needs %.0f GiB (1.5 times its weights), which is %d x %s, and %s",
		s.in.Model, headroom*s.weightBytes()/gib, required, hw.System, limit)
}

// pairable drops the engines that leave no room for one of the other role: no
// pick could use them.
func (s *session) pairable(e *profile.Engines) error {
	total := s.in.Hardware.TotalGPUs
	if len(e.Prefill) == 0 || len(e.Decode) == 0 {
		return fmt.Errorf("%s: AIConfigurator enumerates no engine of up to %d GPUs for it", s.in.Model, total)
	}
	smallest := func(roles []profile.Role) int {
		return slices.MinFunc(roles, func(a, b profile.Role) int { return a.GPUsPerEngine - b.GPUsPerEngine }).GPUsPerEngine
	}
	prefill, decode := smallest(e.Prefill), smallest(e.Decode)
	if prefill+decode > total {
		return fmt.Errorf("hardware.totalGpus %d: the smallest prefill and decode engine of %s take %d GPUs together", total, s.in.Model, prefill+decode)
	}
	e.Prefill = slices.DeleteFunc(e.Prefill, func(r profile.Role) bool { return r.GPUsPerEngine+decode > total })
	e.Decode = slices.DeleteFunc(e.Decode, func(r profile.Role) bool { return r.GPUsPerEngine+prefill > total })
	return nil
}

func (c candidate) role(name profile.RoleName, backend profile.Backend) profile.Role {
	par := c.Parallelism
	return profile.Role{
		Name: name, Replicas: 1, GPUsPerEngine: par.TP * par.PP * par.DP,
		Parallelism: par, BatchSize: c.batchSize(backend), Args: c.Args,
	}
}

// batchSize is the engine's limit of running requests per data parallel rank, by
// its flags. SGLang's flag counts the requests of all ranks.
func (c candidate) batchSize(backend profile.Backend) int {
	flag := map[profile.Backend]string{
		profile.BackendVLLM: "--max-num-seqs", profile.BackendSGLang: "--max-running-requests", profile.BackendTRTLLM: "--max-batch-size",
	}[backend]
	i := slices.Index(c.Args, flag)
	if i < 0 || i+1 == len(c.Args) {
		return 0
	}
	n, err := strconv.Atoi(c.Args[i+1])
	if err != nil {
		return 0
	}
	if backend == profile.BackendSGLang {
		return max(n/c.Parallelism.DP, 1)
	}
	return n
}
