package profile

import "slices"

// checkFeatures takes planner.enabled out of the planner's settings and holds
// the rules between planner and mocker.
func (d *decoder) checkFeatures(s *Spec) {
	const at = "spec.features.planner"
	p := s.Features.Planner
	if p == nil {
		return
	}
	if enabled, given := p["enabled"]; given {
		on, ok := enabled.(bool)
		if !ok {
			d.problem(at+".enabled", "must be true or false")
			return
		}
		delete(p, "enabled")
		if !on {
			d.warn(at+".enabled", "the planner is off; Dynamo ignores enabled and would turn it on")
			s.Features.Planner = nil
			return
		}
	}
	if s.Features.Mocker && !slices.Contains([]string{"rapid", "thorough"}, s.Features.sweepingMode()) && !d.hasProblem(at+".pre_deployment_sweeping_mode") {
		d.problem(at+".pre_deployment_sweeping_mode", "must be rapid or thorough with the mocker, which replays what the sweep found")
	}
}

// sweepingMode is the planner's pre_deployment_sweeping_mode: rapid by default,
// none when null.
func (f Features) sweepingMode() string {
	v, given := f.Planner["pre_deployment_sweeping_mode"]
	if !given {
		return "rapid"
	}
	if mode, _ := v.(string); mode != "" {
		return mode
	}
	return "none"
}

// optimizationTarget is the planner's optimization_target.
func (f Features) optimizationTarget() string {
	if t, _ := f.Planner["optimization_target"].(string); t != "" {
		return t
	}
	return "throughput"
}

// throughputScaling reports whether the planner scales by predicted throughput,
// which only the target sla allows (planner/config/planner_config.py).
func (f Features) throughputScaling() bool {
	on, given := f.Planner["enable_throughput_scaling"].(bool)
	return f.Planner != nil && f.optimizationTarget() == "sla" && (on || !given)
}

// adviseRequest warns of what is accepted and yet not what it seems.
func (d *decoder) adviseRequest(s *Spec) {
	if s.SLA.OptimizationType != "" {
		d.warn("spec.sla.optimizationType", "has no effect in Dynamo 1.5")
	}
	if s.SLA.E2ELatencyMillis == nil && (s.SLA.TTFTMillis == nil) != (s.SLA.ITLMillis == nil) {
		given, other, value := "ttft", "itl", defaultITLMillis
		if s.SLA.TTFTMillis == nil {
			given, other, value = "itl", "ttft", defaultTTFTMillis
		}
		d.warn("spec.sla."+given, "is set without %s, for which Dynamo takes %d ms", other, value)
	}
	if s.Features.Mocker && s.ModelCache != nil {
		d.warn("spec.modelCache", "is ignored by the mocker, which downloads the tokenizer")
	}
	if s.Features.Planner != nil {
		d.advisePlanner(s)
	}
}

func (d *decoder) advisePlanner(s *Spec) {
	for _, name := range []string{"concurrency", "requestRate"} {
		if at := "spec.workload." + name; d.has(at) {
			d.warn(at, "does not size a deployment that the planner scales")
		}
	}
	target := s.Features.optimizationTarget()
	switch {
	case target != "sla" && s.SLA.wanted():
		d.warn("spec.sla", "shapes the pick alone: a planner with optimization_target %s scales without it; to scale by it too, set features.planner.optimization_target: sla", target)
	case target == "sla" && s.SLA.E2ELatencyMillis != nil:
		d.warn("spec.sla.e2eLatency", "shapes the pick alone: the planner scales by its own ttft_ms and itl_ms; set both in features.planner")
	}
}

// wanted reports whether the author named any latency.
func (s SLA) wanted() bool {
	return s.TTFTMillis != nil || s.ITLMillis != nil || s.E2ELatencyMillis != nil
}
