package thorough

import (
	"cmp"
	"fmt"
	"math"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The corrections of measurements without queues (AIConfigurator: sdk/picking.py).
const (
	prefillRate   = 0.9  // of an engine's prefills per second, for bubbles in the pipeline
	decodeRate    = 0.92 // of its decodes, for batches that are not full
	autoscaleTTFT = 1.8  // of its TTFT, for requests that wait until the planner scales
)

// unit is the unit of scale: a prefill and a decode engine.
type unit struct {
	prefill  PrefillPoint
	decode   DecodePoint
	gpus     int
	ttft     float64 // ms, corrected
	e2e      float64 // ms
	requests float64 // per second
	osl      int
	excess   excess

	replicas int
	capped   bool    // the budget is too small for the load
	served   float64 // percent of the load, of load match
}

// excess is by how much targets are missed, in parts of each: zero when kept.
type excess struct{ named, assumed float64 }

func (e excess) compare(f excess) int {
	return cmp.Or(cmp.Compare(e.named, f.named), cmp.Compare(e.assumed, f.assumed))
}

func newUnit(in profile.Inputs, p PrefillPoint, d DecodePoint) unit {
	u := unit{prefill: p, decode: d, gpus: p.Engine.GPUsPerEngine + d.Engine.GPUsPerEngine, ttft: p.TTFTMillis, osl: in.Workload.OSL}
	if in.Picking == profile.PickAutoscale {
		u.ttft *= autoscaleTTFT
	}
	u.e2e = u.ttft + d.ITLMillis*float64(max(u.osl-1, 0))
	prefills := 1000 / p.TTFTMillis * float64(p.Engine.Parallelism.DP)
	decodes := d.TokensPerSecondPerGPU * float64(d.Engine.GPUsPerEngine) / float64(u.osl)
	u.requests = min(prefills*prefillRate, decodes*decodeRate)
	sla := in.SLA
	if sla.E2ELatencyMillis > 0 {
		u.excess.named = over(u.e2e, sla.E2ELatencyMillis)
		return u
	}
	for _, t := range []struct {
		value, target float64
		assumed       bool
	}{{u.ttft, sla.TTFTMillis, sla.TTFTAssumed}, {d.ITLMillis, sla.ITLMillis, sla.ITLAssumed}} {
		if t.assumed {
			u.excess.assumed += over(t.value, t.target)
		} else {
			u.excess.named += over(t.value, t.target)
		}
	}
	return u
}

func over(value, target float64) float64 { return max(value/target-1, 0) }

func (u unit) label() string {
	return u.prefill.Engine.Parallelism.Label() + " " + u.decode.Engine.Parallelism.Label()
}

func (u unit) tokensPerGPU() float64 { return u.requests * float64(u.osl) / float64(u.gpus) }

// tokens is the throughput of all replicas.
func (u unit) tokens() float64 { return u.requests * float64(u.osl*u.replicas) }

// replicasFor is how many units serve the load.
func (u unit) replicasFor(w profile.InputWorkload) int {
	need := w.RequestRate / u.requests
	if w.Concurrency > 0 {
		need = w.Concurrency / float64(u.decode.Concurrency)
	}
	return max(int(math.Ceil(need)), 1)
}

// pick is the unit with its replicas. A role keeps the engine that was measured;
// its batch is that of the measurement.
func (u unit) pick(in profile.Inputs) profile.Pick {
	prefill, decode := u.prefill.Engine, u.decode.Engine
	prefill.Name, prefill.BatchSize = profile.RolePrefill, 1
	decode.Name, decode.BatchSize = profile.RoleDecode, max(u.decode.Concurrency/decode.Parallelism.DP, 1)
	p := profile.Pick{
		Mode: profile.Disaggregated, Backend: in.Backend, System: in.Hardware.System, TotalGPUs: u.replicas * u.gpus,
		Roles: []profile.Role{prefill, decode},
		Expected: &profile.Metrics{
			TTFTMillis:             round(u.ttft),
			ITLMillis:              round(u.decode.ITLMillis),
			RequestLatencyMillis:   round(u.e2e),
			Concurrency:            float64(u.decode.Concurrency),
			RequestsPerSecond:      round(u.requests),
			TokensPerSecond:        round(u.requests * float64(u.osl)),
			TokensPerSecondPerGPU:  round(u.tokensPerGPU()),
			TokensPerSecondPerUser: round(1000 / u.decode.ITLMillis),
		},
	}
	for i := range p.Roles {
		p.Roles[i].Replicas, p.Roles[i].WorkersPerReplica = u.replicas, 1
	}
	return p
}

// outcome compares the unit with the targets, assumed ones included.
func (u unit) outcome(in profile.Inputs) (profile.SLAOutcome, []string) {
	sla := in.SLA
	o := profile.SLAOutcome{Verified: true, Met: u.excess.named == 0 && u.excess.assumed == 0 && !u.capped}
	var warnings []string
	miss := func(target string, margin *float64, assumed bool) *float64 {
		switch {
		case *margin >= 0:
		case assumed:
			warnings = append(warnings, fmt.Sprintf("the measurement misses Dynamo's default of sla.%s by %g ms; to make a target bind: set it", target, -*margin))
		default:
			warnings = append(warnings, fmt.Sprintf("no pair of engines within %d GPUs keeps the SLA: the closest misses sla.%s by %g ms",
				in.Hardware.TotalGPUs, target, -*margin))
		}
		return margin
	}
	if sla.E2ELatencyMillis > 0 {
		o.E2ELatencyMarginMillis = miss("e2eLatency", margin(sla.E2ELatencyMillis, u.e2e), false)
	} else {
		o.TTFTMarginMillis = miss("ttft", margin(sla.TTFTMillis, u.ttft), sla.TTFTAssumed)
		o.ITLMarginMillis = miss("itl", margin(sla.ITLMillis, u.decode.ITLMillis), sla.ITLAssumed)
	}
	if in.Picking == profile.PickLoadMatch {
		o.LoadServedPercent = &u.served
		if u.capped {
			warnings = append(warnings, fmt.Sprintf("hardware.totalGpus %d serve %g%% of the load", in.Hardware.TotalGPUs, u.served))
		}
	}
	return o, warnings
}

func margin(target, measured float64) *float64 {
	m := round(target - measured)
	return &m
}

// round is to 3 decimals, as AIConfigurator prints.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }
