package profile

import (
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
	if err := r.Pick.check(); err != nil {
		return fmt.Errorf("pick: %w", err)
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
	if !slices.Contains([]Backend{BackendVLLM, BackendSGLang, BackendTRTLLM}, p.Backend) {
		return fmt.Errorf("unknown backend %q", p.Backend)
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
