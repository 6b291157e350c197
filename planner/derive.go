package planner

import (
	"fmt"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The granularities of the profiler's own sweep, which the planner repeats in
// process (dynamo/profiler/utils/defaults.py).
const (
	prefillGranularity = 16
	decodeGranularity  = 6
	// minSweepContext leaves the planner's prefill sweep its margin of 512 tokens
	// and 16 steps; below 612 it refuses to sweep.
	minSweepContext = 1024
)

// adopt takes backend and mode from the pick, or says where the author's own
// values contradict it. A mocker's workers are found under names of their own,
// whichever backend they play.
func (c *config) adopt(req *profile.Request, res *profile.Result) profile.Problems {
	var problems profile.Problems
	pick := res.Pick
	refuse := func(name, format string, args ...any) {
		problems = append(problems, req.Problem(c.path(name), fmt.Sprintf(format, args...)))
	}

	backend, deployed := c.text("backend"), string(pick.Backend)
	if req.Spec.Features.Mocker {
		deployed = "mocker"
	}
	if !c.fill("backend", deployed) && !c.wrong["backend"] && backend != deployed && backend != string(pick.Backend) {
		refuse("backend", "%s contradicts the result, which runs %s; leave it out", backend, pick.Backend)
	}

	fitting := []string{"agg"}
	if pick.Mode == profile.Disaggregated {
		fitting = []string{"disagg", "prefill", "decode"}
	}
	mode := c.text("mode")
	if !c.fill("mode", string(pick.Mode)) && !c.wrong["mode"] && !slices.Contains(fitting, mode) {
		refuse("mode", "%s contradicts the result, whose mode is %s; leave it out", mode, pick.Mode)
		c.values["mode"] = string(pick.Mode) // the other rules judge what is deployed
	}
	return problems
}

// derive fills in what depends on the result. Mode and backend are settled
// before. It returns what the author should know, and what is impossible.
func (c *config) derive(req *profile.Request, res *profile.Result) (warnings, problems profile.Problems) {
	// impose sets a field to what is deployed, whatever the author set, as Dynamo does.
	impose := func(name string, value any) {
		if authors, ok := c.values[name]; ok && authors != value {
			warnings = append(warnings, req.Problem(c.path(name), fmt.Sprintf("is replaced by %v, as it is deployed; leave it out", value)))
		}
		c.values[name], c.derived[name] = value, true
	}

	c.fill("model_name", req.Spec.Model)
	impose("profile_results_dir", profileDataPath)
	c.deriveSLA(req)
	c.deriveModels(req, res)
	for _, role := range res.Pick.Roles {
		name := "decode_engine_num_gpu"
		if role.Name == profile.RolePrefill {
			name = "prefill_engine_num_gpu"
		}
		impose(name, float64(role.GPUsPerEngine))
	}
	more, problems := c.deriveBudget(req)
	warnings = append(warnings, more...)
	if c.throughputScaling() && c.text(sweeping) == "thorough" && res.Curves == nil {
		warnings = append(warnings, req.Problem(c.path(sweeping),
			"the result has no measured curves; the planner starts from its own estimates until it has observed traffic"))
	}
	if c.throughputScaling() && res.Confidence == profile.Naive {
		warnings = append(warnings, req.Problem(c.path("optimization_target"),
			"the result is a memory fit without tables; the planner does not scale until it has observed traffic"))
	}
	return warnings, problems
}

// deriveBudget takes the GPU budget from the hardware. The planner refuses to
// start when its minimum endpoints do not fit the budget
// (dynamo/planner/core/base.py), so an author's budget below that is an error,
// and the hardware's is raised: autoscale picks the engines for the SLA without
// regard to the total, and what is deployed exceeds it from the first replica.
func (c *config) deriveBudget(req *profile.Request) (warnings, problems profile.Problems) {
	const name = "max_gpu_budget"
	floor := c.footprint()
	total := req.Spec.Hardware.TotalGPUs
	budget := max(total, floor)
	if c.fill(name, float64(budget)) {
		if budget > total {
			warnings = append(warnings, req.Problem("spec.hardware.totalGpus", fmt.Sprintf(
				"is %d, but the minimum endpoints take %d GPUs; the planner's budget is raised to %d", total, floor, budget)))
		}
		return warnings, nil
	}
	if set := c.number(name); !c.wrong[name] && set >= 0 && set < float64(floor) {
		problems = append(problems, req.Problem(c.path(name), fmt.Sprintf(
			"is %v, but the minimum endpoints take %d GPUs, with which the planner does not start", set, floor)))
	}
	return nil, problems
}

// footprint is the GPUs of the minimum endpoints of the pools that the planner
// manages. A wrong minimum counts as its default.
func (c *config) footprint() int {
	pool := func(floor, engine string) int {
		endpoints := c.number("min_endpoint")
		if c.value(floor) != nil {
			endpoints = c.number(floor)
		}
		return int(endpoints * c.number(engine))
	}
	prefill := func() int { return pool("prefill_min_endpoint", "prefill_engine_num_gpu") }
	decode := func() int { return pool("decode_min_endpoint", "decode_engine_num_gpu") }
	switch c.text("mode") {
	case "prefill":
		return prefill()
	case "decode", "agg":
		return decode()
	default:
		return prefill() + decode()
	}
}

// deriveSLA hands the request's targets on as the profiler does: both when the
// author named at least one of them, none with an end-to-end target.
func (c *config) deriveSLA(req *profile.Request) {
	sla := req.Spec.SLA
	if sla.E2ELatencyMillis != nil || sla.TTFTMillis == nil && sla.ITLMillis == nil {
		return
	}
	targets := sla.Targets()
	c.fill("ttft_ms", targets.TTFTMillis)
	c.fill("itl_ms", targets.ITLMillis)
}

// deriveModels names the engines to AIConfigurator inside the planner: the
// performance model for sla, the sweep that gives it first samples for
// throughput scaling and the mocker. A naive result has nothing to name, and a
// sweep needs both roles.
func (c *config) deriveModels(req *profile.Request, res *profile.Result) {
	if res.Confidence == profile.Naive {
		return
	}
	pick := res.Pick
	prefill, decode := pickOf(pick.Role(profile.RolePrefill)), pickOf(pick.Role(profile.RoleDecode))
	if pick.Mode == profile.Aggregated {
		decode = pickOf(pick.Role(profile.RoleWorker))
	}
	identity := func() map[string]any {
		return map[string]any{"hf_id": req.Spec.Model, "system": pick.System, "backend": string(pick.Backend)}
	}

	swept := c.throughputScaling() || req.Spec.Features.Mocker
	if swept && c.text(sweeping) == "rapid" && prefill != nil && decode != nil {
		spec := identity()
		spec["isl"] = float64(req.Spec.Workload.ISL)
		spec["osl"] = float64(req.Spec.Workload.OSL)
		spec["sweep_max_context_length"] = float64(max(2*req.Spec.Workload.ISL, minSweepContext))
		spec["prefill_interpolation_granularity"] = float64(prefillGranularity)
		spec["decode_interpolation_granularity"] = float64(decodeGranularity)
		spec["prefill_pick"], spec["decode_pick"] = prefill, decode
		c.fill("aic_interpolation", spec)
	}
	if c.text("optimization_target") == "sla" && pick.BackendVersion != "" {
		model := identity()
		model["backend_version"] = pick.BackendVersion
		if prefill != nil {
			model["prefill_pick"] = prefill
		}
		model["decode_pick"] = decode
		c.fill("aic_perf_model", model)
	}
}

// pickOf is a role's parallelism as AIConfigurator's objects name it; nil
// without the role.
func pickOf(role *profile.Role) any {
	if role == nil {
		return nil
	}
	p := role.Parallelism
	return map[string]any{
		"tp": float64(p.TP), "pp": float64(p.PP), "dp": float64(p.DP),
		"moe_tp": float64(p.MoETP), "moe_ep": float64(p.MoEEP),
	}
}

// shipsCurves is whether profile data goes with the configuration: for a planner
// that predicts from a thorough sweep, and for a mocker that is not in rapid.
func (c *config) shipsCurves(req *profile.Request, res *profile.Result) bool {
	if res.Curves == nil || res.Pick.Mode != profile.Disaggregated {
		return false
	}
	sweep := c.text(sweeping)
	return c.throughputScaling() && sweep == "thorough" || req.Spec.Features.Mocker && sweep != "rapid"
}
