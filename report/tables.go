package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// candidate is a row of the ranked configurations.
type candidate struct {
	Place                               int
	Chosen, Over                        bool
	Role                                string // pick, or selected
	Backend, Topology                   string
	TTFT, ITL, Request, PerUser, PerGPU string
	SLA                                 string
}

func (v *view) candidates() []candidate {
	var out []candidate
	for _, r := range v.ranked {
		c := candidate{Place: r.place, Chosen: r.chosen, Backend: string(r.pick.Backend), Topology: topology(r.pick), Over: r.pick.TotalGPUs > v.res.Inputs.Hardware.TotalGPUs,
			TTFT: "–", ITL: "–", Request: "–", PerUser: "–", PerGPU: "–", SLA: "not verified"}
		switch {
		case r.place == 1:
			c.Role = "pick"
		case r.chosen:
			c.Role = "selected"
		}
		if m := r.pick.Expected; m != nil {
			c.TTFT, c.ITL, c.Request = number(m.TTFTMillis), number(m.ITLMillis), number(m.RequestLatencyMillis)
			c.PerUser, c.PerGPU = number(m.TokensPerSecondPerUser), number(m.TokensPerSecondPerGPU)
			c.SLA = v.slaText(r.place, m)
		}
		out = append(out, c)
	}
	return out
}

func (v *view) slaText(place int, m *profile.Metrics) string {
	o := v.outcome(place)
	missed := misses(v.res.Inputs.SLA, *m)
	switch {
	case !o.Verified:
		return "not verified"
	case len(missed) > 0:
		return "misses " + strings.Join(missed, ", ")
	case !o.Met && o.LoadServedPercent != nil:
		return fmt.Sprintf("serves %s %% of the load", number(*o.LoadServedPercent))
	case !o.Met:
		return "missed"
	}
	return "met"
}

// trial is a row of the engines that a measurement tried.
type trial struct {
	Role, Engine, KV string
	GPUs             int
	State            profile.TrialState
	Reason           string // or what was measured
}

func (v *view) trialRows() []trial {
	var out []trial
	for _, t := range v.res.Trials {
		row := trial{Role: string(t.Role), Engine: t.Parallelism.Label(), GPUs: t.GPUs, State: t.State, Reason: t.Reason, KV: "–"}
		if t.MaxKVTokens > 0 {
			row.KV = grouped(float64(t.MaxKVTokens))
		}
		if t.State == profile.TrialMeasured {
			row.Reason = fmt.Sprintf("at %d loads", len(t.Points))
			if len(t.Points) == 1 {
				row.Reason = "at 1 load"
			}
		}
		out = append(out, row)
	}
	return out
}

// comparison is what was predicted of something beside what was measured.
type comparison struct {
	Of, Metric                      string
	Predicted, Measured, Difference string
	Far                             bool // by more than a fifth
}

func compare(of, metric string, predicted, measured float64) (comparison, bool) {
	if !(predicted > 0) || !(measured > 0) {
		return comparison{}, false
	}
	off := 100 * (measured - predicted) / predicted
	return comparison{of, metric, number(predicted), number(measured), signed(off), math.Abs(off) > 20}, true
}

func signed(percent float64) string {
	text := fmt.Sprintf("%+.1f %%", percent)
	return strings.ReplaceAll(text, "-", "−")
}

// compared is that of the pick, where it was measured.
func (v *view) compared() []comparison {
	p, m := v.res.Pick.Predicted, v.res.Pick.Expected
	if p == nil || m == nil {
		return nil
	}
	var out []comparison
	for _, c := range []struct {
		metric              string
		predicted, measured float64
	}{
		{"TTFT (ms)", p.TTFTMillis, m.TTFTMillis}, {"ITL (ms)", p.ITLMillis, m.ITLMillis}, {"request latency (ms)", p.RequestLatencyMillis, m.RequestLatencyMillis},
		{"tokens/s/GPU", p.TokensPerSecondPerGPU, m.TokensPerSecondPerGPU}, {"tokens/s per user", p.TokensPerSecondPerUser, m.TokensPerSecondPerUser},
	} {
		if row, ok := compare("the pick", c.metric, c.predicted, c.measured); ok {
			out = append(out, row)
		}
	}
	return out
}

// comparedPoints is that of every point of the search, in its order.
func (v *view) comparedPoints() []comparison {
	var out []comparison
	for _, t := range v.res.Trials {
		for _, p := range t.Points {
			if p.Predicted == nil {
				continue
			}
			of := fmt.Sprintf("%s %s, %s input tokens, %d at once", t.Role, t.Parallelism.Label(), grouped(float64(p.ISL)), p.Concurrency)
			for _, c := range []struct {
				metric              string
				predicted, measured float64
			}{{"TTFT (ms)", p.Predicted.TTFTMillis, p.TTFTMillis}, {"ITL (ms)", p.Predicted.ITLMillis, p.ITLMillis},
				{"tokens/s/GPU", p.Predicted.TokensPerSecondPerGPU, p.TokensPerSecondPerGPU}} {
				if row, ok := compare(of, c.metric, c.predicted, c.measured); ok {
					out = append(out, row)
				}
			}
		}
	}
	return out
}

func (v *view) noComparison() string {
	if v.selectedOther() && v.Result.Pick.Predicted != nil {
		return "What was predicted is known of the pick of the result, not of the configuration that the lock selects."
	}
	if v.res.Basis() == profile.Measured {
		return "Nothing was predicted of what was measured: AIConfigurator's tables do not cover it."
	}
	return "Nothing was measured. To measure: searchStrategy: thorough in the request."
}

// provenance is where the result comes from.
func (v *view) provenance() []fact {
	var out []fact
	add := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" {
			out = append(out, fact{Name: name, Value: value})
		}
	}
	code := func(name, value string) {
		if value != "" {
			out = append(out, fact{Name: name, Value: value, Code: true})
		}
	}
	p, in := v.res.Provenance, v.res.Inputs
	code("Result", v.Digest)
	code("Key", string(in.Key()))
	code("Request", v.File)
	add("Made by", p.Name())
	add("Performance tables", p.Database)
	add("Candidates by", p.Enumerator)
	code("Image", p.Image)
	add("Taken over from", p.Source)
	add("Claims to be", string(p.Claims))
	if v.res.Basis() == profile.Measured {
		add("GPUs", fmt.Sprintf("%s, up to %d at once, %d per node", in.Hardware.System, in.Hardware.TotalGPUs, in.Hardware.GPUsPerNode))
	} else {
		add("GPUs", fmt.Sprintf("none was used; %s is what is asked for", in.Hardware.System))
	}
	add("Model", v.res.Model.Architecture)
	code("config.json", v.res.Model.ConfigDigest)
	add("Engines of the tables", strings.Join(backends(v.ranked), ", "))
	add("Kept with it", strings.Join(v.Files, ", "))
	if s := v.Signed; s != nil {
		add("Signed with", s.Key)
		add("Run by", strings.Join(slices.DeleteFunc([]string{s.User, s.Host}, func(s string) bool { return s == "" }), " on "))
		add("Run", s.Run)
		if !s.Completed.IsZero() {
			add("Run at", day(s.Started)+" to "+day(s.Completed))
		}
	}
	for _, r := range v.Referrers {
		code("Referred to by", r)
	}
	return out
}

// backends are the engines with the versions of their tables, each once.
func backends(all []ranked) []string {
	var out []string
	for _, r := range all {
		if name := strings.TrimSpace(string(r.pick.Backend) + " " + r.pick.BackendVersion); r.pick.BackendVersion != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
