package profile

import (
	"errors"
	"fmt"
	"slices"
)

// check holds the invariants of a result that every reader relies on.
func (r *Result) check() error {
	if r.Schema != ResultSchema {
		return fmt.Errorf("schema is %q, this version reads %q", r.Schema, ResultSchema)
	}
	if r.Inputs.Schema != InputsSchema {
		return fmt.Errorf("inputs have schema %d, this version reads %d", r.Inputs.Schema, InputsSchema)
	}
	if !slices.Contains(Confidences(), r.Confidence) {
		return fmt.Errorf("unknown confidence %q", r.Confidence)
	}
	if err := r.checkConfidence(); err != nil {
		return err
	}
	if err := r.Pick.check(); err != nil {
		return fmt.Errorf("pick: %w", err)
	}
	for i := range r.Alternatives {
		if err := r.Alternatives[i].check(); err != nil {
			return fmt.Errorf("alternative %d: %w", i+1, err)
		}
	}
	if r.Curves != nil {
		if err := r.Curves.check(); err != nil {
			return fmt.Errorf("curves: %w", err)
		}
	}
	return nil
}

// checkConfidence holds that a result claims no more than its origin supports.
func (r *Result) checkConfidence() error {
	const measures = "aiperf"
	sla, from := r.SLA, r.Provenance
	switch {
	case (r.Confidence == Imported) != slices.Contains(Sources(), from.Source) || r.Confidence != Imported && from.Claims != "":
		return fmt.Errorf("confidence %s does not go with source %q and claims %q", r.Confidence, from.Source, from.Claims)
	case r.Confidence == Naive && sla.Verified:
		return errors.New("a naive result predicts nothing, so it cannot verify the SLA")
	case r.Confidence == Naive && (r.Pick.Expected != nil || r.Curves != nil):
		return errors.New("a naive result predicts nothing, so it has no expected metrics and no curves")
	case sla.Met && !sla.Verified:
		return errors.New("an unverified SLA cannot be met")
	case !sla.Verified && (sla.TTFTMarginMillis != nil || sla.ITLMarginMillis != nil || sla.E2ELatencyMarginMillis != nil):
		return errors.New("an unverified SLA has no margins")
	case r.Confidence == Measured && r.Inputs.Strategy != StrategyThorough:
		return fmt.Errorf("strategy %s measures nothing, so the result cannot be measured", r.Inputs.Strategy)
	case from.Tool != "" && (from.Tool == measures) != (r.Confidence == Measured):
		return fmt.Errorf("confidence %s contradicts tool %q: %s alone measures", r.Confidence, from.Tool, measures)
	}
	return nil
}

// check holds what a reader of curves indexes by: arrays of equal length.
func (c *Curves) check() error {
	for _, curve := range []struct {
		name    string
		lengths []int
	}{
		{"prefill", []int{len(c.Prefill.ISL), len(c.Prefill.TTFTMillis), len(c.Prefill.TokensPerSecondPerGPU)}},
		{"decode", []int{len(c.Decode.KVUsage), len(c.Decode.ContextLength), len(c.Decode.ITLMillis), len(c.Decode.TokensPerSecondPerGPU)}},
	} {
		if slices.Min(curve.lengths) != slices.Max(curve.lengths) {
			return fmt.Errorf("%s arrays have lengths %v", curve.name, curve.lengths)
		}
	}
	return nil
}

func (p *Pick) check() error {
	want := map[Mode][]RoleName{
		Aggregated:    {RoleWorker},
		Disaggregated: {RolePrefill, RoleDecode},
	}[p.Mode]
	if want == nil {
		return fmt.Errorf("unknown mode %q", p.Mode)
	}
	if !slices.Contains(backends, p.Backend) {
		return fmt.Errorf("unknown backend %q", p.Backend)
	}
	if p.System == "" {
		return errors.New("no system")
	}
	var got []RoleName
	gpus := 0
	for _, role := range p.Roles {
		got = append(got, role.Name)
		if err := role.check(); err != nil {
			return fmt.Errorf("role %s: %w", role.Name, err)
		}
		gpus += role.Replicas * role.GPUsPerEngine
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("roles of mode %s are %v, not %v", p.Mode, got, want)
	}
	if gpus != p.TotalGPUs {
		return fmt.Errorf("roles take %d GPUs, not %d", gpus, p.TotalGPUs)
	}
	return nil
}

func (r *Role) check() error {
	par := r.Parallelism
	for _, n := range []int{par.TP, par.PP, par.DP, par.MoETP, par.MoEEP, r.GPUsPerEngine, r.Replicas} {
		if n < 1 {
			return fmt.Errorf("parallelism, GPUs and replicas must be at least 1: %+v", *r)
		}
	}
	return nil
}
