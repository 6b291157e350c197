package report

import (
	"cmp"
	"fmt"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// view is a subject with what all parts of the page ask of it.
type view struct {
	Subject
	res    *profile.Result // with the selected configuration as its pick
	ranked []ranked
}

// ranked is a configuration with its place in the result: 1 is the pick of the
// profiler, and select in a lock names another.
type ranked struct {
	place  int
	pick   *profile.Pick
	chosen bool // it is what renders
}

func newView(s Subject) (*view, error) {
	v := &view{Subject: s}
	var err error
	if v.res, err = s.Result.Select(max(1, s.Selected)); err != nil {
		return nil, fmt.Errorf("select in the lock: %w", err)
	}
	all := append([]*profile.Pick{&s.Result.Pick}, pointers(s.Result.Alternatives)...)
	for i, p := range all {
		v.ranked = append(v.ranked, ranked{i + 1, p, i+1 == max(1, s.Selected)})
	}
	return v, nil
}

func pointers(picks []profile.Pick) []*profile.Pick {
	var out []*profile.Pick
	for i := range picks {
		out = append(out, &picks[i])
	}
	return out
}

// name is what the subject is called.
func (v *view) name() string { return cmp.Or(v.Request, v.res.Inputs.Model) }

// selectedOther is whether another configuration than the pick renders.
func (v *view) selectedOther() bool { return v.Selected > 1 }

// outcome is how a configuration stands to the SLA.
func (v *view) outcome(place int) profile.SLAOutcome {
	res, err := v.Result.Select(place)
	if err != nil {
		return profile.SLAOutcome{}
	}
	return res.SLA
}

// misses are the targets that a prediction does not keep, with by how much.
func misses(t profile.Targets, m profile.Metrics) []string {
	var out []string
	check := func(name string, target, value float64) {
		if target > 0 && value > target+0.0005 { // profilers round to 3 decimals
			out = append(out, fmt.Sprintf("%s by %s ms", name, number(value-target)))
		}
	}
	if t.E2ELatencyMillis > 0 {
		check("request latency", t.E2ELatencyMillis, m.RequestLatencyMillis)
		return out
	}
	check("TTFT", t.TTFTMillis, m.TTFTMillis)
	check("ITL", t.ITLMillis, m.ITLMillis)
	return out
}

// verb says how the numbers of the result came about.
func (v *view) verb() string {
	if v.res.Basis() == profile.Measured {
		return "measured"
	}
	return "predicted"
}

// kind is a mode in words.
func kind(m profile.Mode) string {
	if m == profile.Disaggregated {
		return "disaggregated"
	}
	return "aggregated"
}

func topology(p *profile.Pick) string { return render.Topology(p) }
