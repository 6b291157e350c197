package profile

import (
	"fmt"
	"math"
	"slices"
)

// Select is the result with another of its ranked configurations as the pick: 1 is
// the pick as it is, 2 the first of the alternatives. The SLA is held against what
// that configuration is expected to do; curves of other engines are left out. What
// was the pick becomes the first alternative.
func (r *Result) Select(n int) (*Result, error) {
	ranked := append([]Pick{r.Pick}, r.Alternatives...)
	switch {
	case n < 1 || n > len(ranked):
		return nil, fmt.Errorf("is %d, and the result ranks %d configurations, 1 being the pick", n, len(ranked))
	case n == 1:
		return r, nil
	}
	out := *r
	out.Pick = ranked[n-1]
	out.Alternatives = slices.Delete(ranked, n-1, n)
	out.SLA = r.outcome(&out.Pick)
	if !sameEngines(&r.Pick, &out.Pick) {
		out.Curves = nil
	}
	if err := out.check(); err != nil {
		return nil, fmt.Errorf("is %d, which does not fit the result: %w", n, err)
	}
	return &out, nil
}

// rounding is how far a latency may be from the one that was compared: profilers
// round to 3 decimals.
const rounding = 0.0005

// outcome holds a configuration against the targets.
func (r *Result) outcome(p *Pick) SLAOutcome {
	m, t := p.Expected, r.Inputs.SLA
	if m == nil || !r.SLA.Verified {
		return SLAOutcome{}
	}
	o := SLAOutcome{Verified: true, Met: true}
	margin := func(target, expected float64) *float64 {
		left := math.Round((target-expected)*1000) / 1000
		o.Met = o.Met && left >= -rounding
		return &left
	}
	if t.E2ELatencyMillis > 0 {
		o.E2ELatencyMarginMillis = margin(t.E2ELatencyMillis, m.RequestLatencyMillis)
	} else {
		o.TTFTMarginMillis = margin(t.TTFTMillis, m.TTFTMillis)
		o.ITLMarginMillis = margin(t.ITLMillis, m.ITLMillis)
	}
	if served, ok := r.served(p); ok {
		o.LoadServedPercent = &served
		o.Met = o.Met && served >= 100
	}
	return o
}

// served is the share of the workload's load, in percent, that all units of scale of
// a configuration take; false where the pick is not sized by a load.
func (r *Result) served(p *Pick) (float64, bool) {
	units := math.MaxInt
	for _, role := range p.Roles {
		units = min(units, role.Replicas/max(1, role.WorkersPerReplica))
	}
	w := r.Inputs.Workload
	var share float64
	switch {
	case r.Inputs.Picking != PickLoadMatch:
		return 0, false
	case w.RequestRate > 0:
		share = float64(units) * p.Expected.RequestsPerSecond / w.RequestRate
	case w.Concurrency > 0:
		share = float64(units) * p.Expected.Concurrency / w.Concurrency
	default:
		return 0, false
	}
	return min(100, math.Round(1000*share)/10), true
}

// sameEngines reports whether two configurations run the same engines, in whichever
// number.
func sameEngines(a, b *Pick) bool {
	return a.Backend == b.Backend && slices.EqualFunc(a.Roles, b.Roles, func(x, y Role) bool {
		return x.Name == y.Name && x.Parallelism == y.Parallelism
	})
}
