package planner

import (
	"fmt"
	"math"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// rule is a condition over several fields under which PlannerConfig refuses to
// load, or the planner to start.
type rule struct {
	at    string   // the field that is to be changed
	reads []string // the rule is not judged while one of these is itself wrong
	// broken says what is wrong, or "".
	broken func(c *config) string
}

// violations judges every rule. Where the author leaves the mode open, the
// class's default stands in until a pick decides.
func (c *config) violations(req *profile.Request) profile.Problems {
	var problems profile.Problems
	for _, r := range slices.Concat(endpointRules(), powerRules(), scalingRules(), loadRules(), performanceRules()) {
		if slices.ContainsFunc(append(r.reads, r.at), func(name string) bool { return c.wrong[name] }) {
			continue
		}
		if message := r.broken(c); message != "" {
			problems = append(problems, req.Problem(c.path(r.at), message))
		}
	}
	return problems
}

// when is a rule's answer: the message if the condition holds.
func when(condition bool, format string, args ...any) string {
	if !condition {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func endpointRules() []rule {
	roleFloor := func(name string, modes ...string) rule {
		return rule{name, []string{"mode"}, func(c *config) string {
			return when(c.value(name) != nil && !slices.Contains(modes, c.text("mode")),
				"has no role in mode %s", c.text("mode"))
		}}
	}
	return []rule{
		roleFloor("prefill_min_endpoint", "disagg", "prefill"),
		roleFloor("decode_min_endpoint", "disagg", "decode"),
		{"min_gpu_budget", []string{"max_gpu_budget"}, func(c *config) string {
			low, high := c.number("min_gpu_budget"), c.number("max_gpu_budget")
			return when(c.isSet("max_gpu_budget") && high >= 0 && low > high, "must be at most max_gpu_budget, which is %v", high)
		}},
		{"load_min_observations", []string{"max_num_fpm_samples"}, func(c *config) string {
			most := c.number("max_num_fpm_samples")
			return when(c.number("load_min_observations") > most,
				"must be at most max_num_fpm_samples, which is %v: the planner keeps no more", most)
		}},
		{"fpm_sample_bucket_size", nil, func(c *config) string {
			n := c.number("fpm_sample_bucket_size")
			side := math.Round(math.Sqrt(n))
			return when(side*side != n, "must be a perfect square, not %v", n)
		}},
	}
}

func powerRules() []rule {
	const on = "enable_power_awareness"
	return []rule{
		{on, []string{"total_gpu_power_limit"}, func(c *config) string {
			return when(c.flag(on) && c.value("total_gpu_power_limit") == nil, "needs total_gpu_power_limit, in watts")
		}},
		{on, []string{"environment"}, func(c *config) string {
			return when(c.flag(on) && c.text("environment") != "kubernetes",
				"needs environment kubernetes, not %s", c.text("environment"))
		}},
		{on, []string{"mode"}, func(c *config) string {
			return when(c.flag(on) && c.text("mode") == "agg", "is not supported in mode agg")
		}},
	}
}

func scalingRules() []rule {
	const load, throughput = "load_adjustment_interval_seconds", "throughput_adjustment_interval_seconds"
	flags := []string{"optimization_target", "enable_throughput_scaling", "enable_load_scaling"}
	return []rule{
		{"global_planner_namespace", []string{"environment"}, func(c *config) string {
			return when(c.text("environment") == "global-planner" && c.text("global_planner_namespace") == "",
				"is required with environment global-planner")
		}},
		{"optimization_target", flags, func(c *config) string {
			return when(!c.throughputScaling() && !c.loadScaling(),
				"sla needs enable_throughput_scaling or enable_load_scaling")
		}},
		{throughput, flags, func(c *config) string {
			return when(c.throughputScaling() && c.number(throughput) <= 0, "must be greater than 0")
		}},
		{load, append(flags, throughput), func(c *config) string {
			return when(c.throughputScaling() && c.loadScaling() && c.number(load) >= c.number(throughput),
				"must be shorter than %s, which is %v", throughput, c.number(throughput))
		}},
		{"scheduling", append(flags, load, throughput), func(c *config) string {
			scheduling, _ := c.value("scheduling").(map[string]any)
			tick, ok := scheduling["scale_interval_seconds"].(float64)
			if !ok {
				return "" // the class takes the greatest common divisor
			}
			return when(!divides(tick, c.number(load)) || c.throughputScaling() && !divides(tick, c.number(throughput)),
				"scale_interval_seconds must evenly divide %s, and %s with throughput scaling", load, throughput)
		}},
	}
}

// divides compares as the class does, to nine digits.
func divides(part, whole float64) bool {
	ratio := whole / part
	return math.Abs(ratio-math.Round(ratio)) <= 1e-9*math.Max(1, math.Abs(ratio))
}

// loadRules hold for optimization_target load: each managed pool needs both of
// its thresholds, the upper above the lower.
func loadRules() []rule {
	pool := func(up, down string, modes ...string) []rule {
		reads := []string{"optimization_target", "mode", up, down}
		applies := func(c *config) bool {
			return c.text("optimization_target") == "load" && slices.Contains(modes, c.text("mode"))
		}
		missing := func(name string) rule {
			return rule{name, reads, func(c *config) string {
				return when(applies(c) && c.value(name) == nil,
					"is required with optimization_target load in mode %s", c.text("mode"))
			}}
		}
		return []rule{missing(up), missing(down), {up, reads, func(c *config) string {
			given := c.value(up) != nil && c.value(down) != nil
			return when(applies(c) && given && c.number(up) <= c.number(down),
				"must be greater than %s, which is %v", down, c.number(down))
		}}}
	}
	return append(
		pool("prefill_scale_up_queue_tokens", "prefill_scale_down_queue_tokens", "disagg", "prefill"),
		pool("decode_scale_up_kv_rate", "decode_scale_down_kv_rate", "disagg", "decode", "agg")...)
}

func performanceRules() []rule {
	needs := func(pick string, modes ...string) rule {
		return rule{"aic_perf_model", []string{"mode"}, func(c *config) string {
			model, ok := c.value("aic_perf_model").(map[string]any)
			return when(ok && model[pick] == nil && slices.Contains(modes, c.text("mode")),
				"needs %s in mode %s", pick, c.text("mode"))
		}}
	}
	return []rule{
		needs("prefill_pick", "disagg", "prefill"),
		needs("decode_pick", "disagg", "decode", "agg"),
	}
}
