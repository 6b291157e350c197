package thorough

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// topN is how many picks are ranked, as Dynamo asks for.
const topN = 5

// Picked is a ranking of what was measured.
type Picked struct {
	Pick         profile.Pick
	Alternatives []profile.Pick // best first, at most four
	SLA          profile.SLAOutcome
	Warnings     []string
}

// Pick pairs measured prefill and decode engines and ranks the pairs by the
// picking rule of the inputs (AIConfigurator: sdk/picking.py). Among equals the
// pair of fewer GPUs is first, then the faster one, then the order of labels.
//
// Every pick is within the GPU budget and keeps the targets where any does, TTFT
// and end-to-end latency included. An assumed target only orders those that miss
// it. Where no pair keeps the named targets the closest is picked, and the
// outcome says that the SLA is not met.
func Pick(in profile.Inputs, prefill []PrefillPoint, decode []DecodePoint) (*Picked, error) {
	var units []unit
	least := math.MaxInt
	for _, p := range prefill {
		for _, d := range decode {
			if !positive(p.TTFTMillis) || !positive(d.ITLMillis) || !positive(d.TokensPerSecondPerGPU) || d.Concurrency < 1 {
				continue
			}
			least = min(least, p.Engine.GPUsPerEngine+d.Engine.GPUsPerEngine)
			if u := newUnit(in, p, d); u.gpus <= in.Hardware.TotalGPUs {
				units = append(units, u)
			}
		}
	}
	switch {
	case least == math.MaxInt:
		return nil, fmt.Errorf("picking engines: %d prefill and %d decode measurements make no pair", len(prefill), len(decode))
	case len(units) == 0:
		return nil, fmt.Errorf("picking engines: the smallest pair measured takes %d GPUs, hardware.totalGpus is %d", least, in.Hardware.TotalGPUs)
	}
	units, met := closest(units)
	ranked := rank(in, scale(in, units, met))
	out := &Picked{Pick: ranked[0].pick(in)}
	for _, u := range ranked[1:] {
		out.Alternatives = append(out.Alternatives, u.pick(in))
	}
	out.SLA, out.Warnings = ranked[0].outcome(in)
	return out, nil
}

func positive(f float64) bool { return f > 0 && !math.IsInf(f, 1) }

// closest keeps the units that meet all targets; where none does, those that
// meet the named ones; else all of them.
func closest(units []unit) (some []unit, met bool) {
	for _, misses := range []func(unit) bool{
		func(u unit) bool { return u.excess != excess{} },
		func(u unit) bool { return u.excess.named > 0 },
	} {
		if some = slices.DeleteFunc(slices.Clone(units), misses); len(some) > 0 {
			return some, true
		}
	}
	return units, false
}

// scale sizes the units for the budget or the load, which may need more than the
// budget allows. Units that serve it all are preferred, but not to a closer one.
func scale(in profile.Inputs, units []unit, met bool) []unit {
	for i := range units {
		u := &units[i]
		capacity := in.Hardware.TotalGPUs / u.gpus
		switch in.Picking {
		case profile.PickAutoscale:
			u.replicas = 1 // the planner adds more
		case profile.PickLoadMatch:
			need := u.replicasFor(in.Workload)
			u.replicas = min(need, capacity)
			u.served = math.Round(1000*float64(u.replicas)/float64(need)) / 10
			u.capped = need > capacity
		default:
			u.replicas = capacity
		}
	}
	if all := slices.DeleteFunc(slices.Clone(units), func(u unit) bool { return u.capped }); met && len(all) > 0 {
		return all
	}
	return units
}

// rank keeps the best unit of each kind and orders those.
func rank(in profile.Inputs, units []unit) []unit {
	slices.SortFunc(units, func(a, b unit) int {
		return cmp.Or(a.excess.compare(b.excess), a.compareWithin(b, in), a.compareOrder(b))
	})
	kinds := map[string]bool{}
	units = slices.DeleteFunc(units, func(u unit) bool {
		kind := u.decode.Engine.Parallelism.Label()
		if in.Picking == profile.PickAutoscale {
			kind = u.label() // the sides scale apart from each other
		}
		seen := kinds[kind]
		kinds[kind] = true
		return seen
	})
	slices.SortFunc(units, func(a, b unit) int {
		return cmp.Or(a.excess.compare(b.excess), a.compare(b, in), a.compareOrder(b))
	})
	return units[:min(len(units), topN)]
}

// compareWithin orders the units of one kind.
func (u unit) compareWithin(v unit, in profile.Inputs) int {
	switch {
	case in.Picking == profile.PickAutoscale: // the decode engine at its best
		return cmp.Compare(v.decode.TokensPerSecondPerGPU, u.decode.TokensPerSecondPerGPU)
	case in.Picking == profile.PickLoadMatch && !u.capped && !v.capped: // the lightest load that suffices
		return cmp.Or(cmp.Compare(u.replicas*u.gpus, v.replicas*v.gpus), cmp.Compare(u.gpus, v.gpus),
			cmp.Compare(u.decode.Concurrency, v.decode.Concurrency))
	}
	return u.compare(v, in)
}

// compare orders kinds by the objective of the picking rule.
func (u unit) compare(v unit, in profile.Inputs) int {
	switch {
	case in.Picking == profile.PickAutoscale:
		return cmp.Compare(v.tokensPerGPU(), u.tokensPerGPU())
	case u.capped != v.capped:
		return cmp.Compare(v.served, u.served)
	case in.Picking == profile.PickLoadMatch && !u.capped:
		return cmp.Or(cmp.Compare(u.replicas*u.gpus, v.replicas*v.gpus), cmp.Compare(v.tokensPerGPU(), u.tokensPerGPU()))
	case in.SLA.E2ELatencyMillis > 0:
		return cmp.Or(cmp.Compare(v.tokens(), u.tokens()), cmp.Compare(u.e2e, v.e2e))
	}
	return cmp.Or(cmp.Compare(v.tokens(), u.tokens()), cmp.Compare(u.decode.ITLMillis, v.decode.ITLMillis))
}

// compareOrder makes the order total.
func (u unit) compareOrder(v unit) int {
	return cmp.Or(cmp.Compare(u.gpus, v.gpus), cmp.Compare(u.e2e, v.e2e), cmp.Compare(u.label(), v.label()),
		cmp.Compare(u.decode.Concurrency, v.decode.Concurrency))
}
