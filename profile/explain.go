package profile

import (
	"maps"
	"slices"
)

// Lines are the inputs one by one, as "hardware.totalGpus 8", in the order of the key.
func (in Inputs) Lines() []string {
	leaves := flatten(in)
	var lines []string
	for _, path := range slices.Sorted(maps.Keys(leaves)) {
		lines = append(lines, path+" "+leaves[path])
	}
	return lines
}

// Margin is how far a prediction is from a target.
type Margin struct {
	Target       string  `json:"target"` // ttft, itl or e2eLatency, as in spec.sla
	TargetMillis float64 `json:"targetMillis"`
	MarginMillis float64 `json:"marginMillis"` // negative where the target is missed
	Percent      float64 `json:"percent"`      // of the target
}

// Margins are those of a result, the smallest share of its target first: that one
// binds. There are none where nothing was predicted.
func (r *Result) Margins() []Margin {
	t := r.Inputs.SLA
	var out []Margin
	for _, m := range []struct {
		name   string
		target float64
		margin *float64
	}{{"ttft", t.TTFTMillis, r.SLA.TTFTMarginMillis}, {"itl", t.ITLMillis, r.SLA.ITLMarginMillis}, {"e2eLatency", t.E2ELatencyMillis, r.SLA.E2ELatencyMarginMillis}} {
		if m.margin != nil && m.target > 0 {
			out = append(out, Margin{m.name, m.target, *m.margin, 100 * *m.margin / m.target})
		}
	}
	slices.SortStableFunc(out, func(a, b Margin) int {
		switch {
		case a.Percent < b.Percent:
			return -1
		case a.Percent > b.Percent:
			return 1
		}
		return 0
	})
	return out
}
