package rapid

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// topN is how many configurations each sweep ranks, as Dynamo asks for.
const topN = 5

// session answers one set of inputs on one worker.
type session struct {
	in       profile.Inputs
	worker   *worker
	say      func(string)
	model    modelFacts
	system   systemFacts
	backend  profile.Backend // what the sweep runs over; may be auto
	database string          // the kind of tables; empty when nothing covers the model
	warnings []string
}

// modelFacts is what worker.py reads from a model's config.json.
type modelFacts struct {
	Path          string `json:"path"` // what AIConfigurator calls the model: its name, or a directory
	Architecture  string `json:"architecture"`
	MoE           bool   `json:"moe"`
	ContextLength int    `json:"contextLength"`
	CustomCode    bool   `json:"customCode"`
	ConfigDigest  string `json:"configDigest"`
	Parameters    int64  `json:"parameters"` // estimated; 0 when the geometry is unknown
	Embeddings    int64  `json:"embeddings"` // of the parameters, those in the input embedding
	Quantization  struct {
		Method    string `json:"method"`
		Algorithm string `json:"algorithm"`
		Bits      int    `json:"bits"`
	} `json:"quantization"`
}

// facts are those that a result keeps.
func (m modelFacts) facts() profile.Model {
	return profile.Model{
		Architecture:  m.Architecture,
		MoE:           m.MoE,
		ContextLength: m.ContextLength,
		CustomCode:    m.CustomCode,
		ConfigDigest:  m.ConfigDigest,
	}
}

// systemFacts is what AIConfigurator's system file says of a GPU system.
type systemFacts struct {
	Known     bool     `json:"known"`
	VRAMBytes float64  `json:"vramBytes"` // H200's for an unknown system
	Backends  []string `json:"backends"`  // with measured tables
}

// read asks for the facts of the model and the system, and refuses a model that
// they exclude.
func (s *session) read(ctx context.Context, dir string) error {
	if err := s.call(ctx, "model", map[string]any{"model": s.in.Model, "dir": dir}, &s.model); err != nil {
		if r := (*refusal)(nil); errors.As(err, &r) {
			return unknownModel(s.in.Model, r)
		}
		return err
	}
	if err := s.call(ctx, "system", map[string]any{"system": s.in.Hardware.System}, &s.system); err != nil {
		return err
	}
	return s.checkModel()
}

// run follows profile_sla.py of Dynamo 1.5, once the model is read: check the
// support, sweep or fall back.
func (s *session) run(ctx context.Context) (*profile.Result, []profile.File, error) {
	if err := s.cover(ctx); err != nil {
		return nil, nil, err
	}
	if s.database == "" {
		return s.fallback(ctx, s.uncovered())
	}
	res, files, err := s.simulate(ctx)
	if s.database != silicon && errors.Is(err, errNoCandidate) {
		return s.fallback(ctx, s.uncovered()+", and cannot estimate it")
	}
	return res, files, err
}

// unknownModel says how to make a model known.
func unknownModel(model string, cause error) error {
	return fmt.Errorf("model %s: its config.json is neither shipped with AIConfigurator nor reachable: %w; "+
		"mount the model cache that spec.modelCache names, or give a directory that holds the file with --model-config DIR", model, cause)
}

// checkModel refuses what no configuration can serve.
func (s *session) checkModel() error {
	work, context := s.in.Workload, s.model.ContextLength
	if context > 0 && work.ISL >= context {
		return fmt.Errorf("workload.isl %d exceeds the context of %s: %d tokens", work.ISL, s.in.Model, context)
	}
	if context > 0 && work.ISL+work.OSL > context {
		s.warn("isl %d and osl %d together exceed the model's context of %d tokens", work.ISL, work.OSL, context)
	}
	need, have := s.weightBytes(), float64(s.in.Hardware.TotalGPUs)*s.vramBytes()
	if need > have {
		return fmt.Errorf("%s does not fit: its weights need %.0f GiB, %d x %s have %.0f GiB",
			s.in.Model, need/gib, s.in.Hardware.TotalGPUs, s.in.Hardware.System, have/gib)
	}
	return nil
}

// The kinds of tables behind a prediction, as worker.py names them.
const (
	silicon = "silicon" // measured
	hybrid  = "hybrid"  // measured, in part for another configuration
	sol     = "sol"     // none: computed from the hardware's peak figures ("speed of light")
)

// cover chooses the tables and the backend to sweep over: measured tables of any
// backend that the request allows, else estimates.
func (s *session) cover(ctx context.Context) error {
	s.say("checking support")
	covered := map[profile.Backend]string{}
	asked := backendsOf(s.in.Backend)
	params := map[string]any{"path": s.model.Path, "system": s.in.Hardware.System, "backends": asked}
	if err := s.call(ctx, "support", params, &covered); err != nil {
		return err
	}
	for _, database := range []string{silicon, hybrid, sol} {
		i := slices.IndexFunc(asked, func(b profile.Backend) bool { return covered[b] == database })
		if i < 0 {
			continue
		}
		s.database, s.backend = database, s.in.Backend
		// An autoscaled pick has one backend: Dynamo takes vllm, covered or not. Peak
		// figures do not tell backends apart.
		if s.in.Picking == profile.PickAutoscale || database == sol {
			s.backend = asked[i]
		}
		return nil
	}
	return nil
}

// sweepParams are the inputs in worker.py's words.
func (s *session) sweepParams() map[string]any {
	hw, work, sla := s.in.Hardware, s.in.Workload, s.in.SLA
	return map[string]any{
		"model": s.in.Model, "path": s.model.Path, "topN": topN, "database": s.database, "servingMode": "auto",
		"system": hw.System, "backend": s.backend, "totalGpus": hw.TotalGPUs, "gpusPerNode": hw.GPUsPerNode,
		"isl": work.ISL, "osl": work.OSL, "requestRate": work.RequestRate, "concurrency": work.Concurrency,
		"ttft": sla.TTFTMillis, "tpot": sla.ITLMillis, "requestLatency": sla.E2ELatencyMillis, "itlBinds": !sla.ITLAssumed,
	}
}

// call asks the worker; a refusal is told as AIConfigurator's.
func (s *session) call(ctx context.Context, method string, params, result any) error {
	err := s.worker.call(ctx, method, params, result, s.say)
	if err != nil {
		return fmt.Errorf("aiconfigurator: %w", err)
	}
	return nil
}

func (s *session) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// result is what every result of the session has in common.
func (s *session) result(confidence profile.Confidence, pick profile.Pick) *profile.Result {
	return &profile.Result{
		Schema:     profile.ResultSchema,
		Inputs:     s.in,
		Confidence: confidence,
		Model:      s.model.facts(),
		Pick:       pick,
		Warnings:   s.warnings,
		Provenance: profile.Provenance{
			Tool:        "aiconfigurator",
			ToolVersion: s.worker.hello.Version,
		},
	}
}
