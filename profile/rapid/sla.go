package rapid

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// rounding is how far a printed latency may be from the one that was compared:
// AIConfigurator rounds its tables to 3 decimals.
const rounding = 0.0005

// meets reports whether a row keeps the targets that the request names.
// AIConfigurator returns its closest row where none does.
func (s *session) meets(r row) bool {
	sla := s.in.SLA
	if sla.E2ELatencyMillis > 0 {
		return r.num("request_latency") <= sla.E2ELatencyMillis+rounding
	}
	return (sla.TTFTAssumed || r.num("ttft") <= sla.TTFTMillis+rounding) &&
		(sla.ITLAssumed || r.num("tpot") <= sla.ITLMillis+rounding)
}

// outcomeOf compares a row that meets the named targets with all of them.
func (s *session) outcomeOf(r row) profile.SLAOutcome {
	sla := s.in.SLA
	o := profile.SLAOutcome{Verified: true, Met: true}
	if sla.E2ELatencyMillis > 0 {
		o.E2ELatencyMarginMillis = margin(sla.E2ELatencyMillis, r.num("request_latency"))
	} else {
		o.TTFTMarginMillis = margin(sla.TTFTMillis, r.num("ttft"))
		o.ITLMarginMillis = margin(sla.ITLMillis, r.num("tpot"))
		o.Met = s.keeps("ttft", *o.TTFTMarginMillis) && s.keeps("itl", *o.ITLMarginMillis)
	}
	if s.in.Picking == profile.PickLoadMatch {
		served := r.loadServed()
		o.LoadServedPercent = &served
		if served < 100 {
			o.Met = false
			s.warn("hardware.totalGpus %d serve %g%% of the load", s.in.Hardware.TotalGPUs, served)
		}
	}
	return o
}

// keeps reports whether an assumed target is kept, with a warning where not; a
// named one is, or there is no result.
func (s *session) keeps(target string, margin float64) bool {
	if margin >= -rounding {
		return true
	}
	s.warn("the prediction misses Dynamo's default of sla.%s by %g ms; to make a target bind: set it", target, -margin)
	return false
}

// margin is rounded as the predictions are.
func margin(target, predicted float64) *float64 {
	m := math.Round((target-predicted)*1000) / 1000
	return &m
}

// limits is the best that any candidate reaches, in milliseconds; nil where no
// candidate exists.
type limits struct {
	TTFT       *float64 `json:"ttft"`
	ITL        *float64 `json:"tpot"`
	E2E        *float64 `json:"request_latency"`
	TTFTWithin *float64 `json:"ttft_within"` // among those that keep the ITL
	ITLWithin  *float64 `json:"tpot_within"` // among those that keep the TTFT
}

// errNoCandidate is a sweep that has nothing to offer at any latency.
var errNoCandidate = errors.New("no configuration")

// relaxed is far beyond any latency, in milliseconds.
const relaxed = 1e9

// unmet says why there is no result: what binds, and what could be had.
func (s *session) unmet(ctx context.Context, out outcome) error {
	s.say("finding what can be reached")
	params := s.sweepParams()
	params["wantTtft"], params["wantTpot"] = s.in.SLA.TTFTMillis, s.in.SLA.ITLMillis
	params["ttft"], params["tpot"], params["requestLatency"] = relaxed, relaxed, 0
	params["autoscale"] = s.in.Picking == profile.PickAutoscale
	if needsRoles(s.in) {
		params["servingMode"] = string(profile.Disaggregated)
	}
	var low limits
	err := s.call(ctx, "limits", params, &low)
	if r := (*refusal)(nil); err != nil && !errors.As(err, &r) {
		return err
	}
	if low.TTFT == nil || low.ITL == nil || low.E2E == nil {
		return fmt.Errorf("%w of up to %d GPUs serves %s: %s", errNoCandidate, s.in.Hardware.TotalGPUs, s.in.Model, reasons(out.Errors))
	}
	sla := s.in.SLA
	var binds []string
	switch {
	case sla.E2ELatencyMillis > 0:
		binds = append(binds, fmt.Sprintf("e2eLatency %g ms: at best %g ms", sla.E2ELatencyMillis, *low.E2E))
	default:
		if *low.TTFT > sla.TTFTMillis {
			binds = append(binds, fmt.Sprintf("ttft %g ms: at best %g ms", sla.TTFTMillis, *low.TTFT))
		}
		if *low.ITL > sla.ITLMillis {
			binds = append(binds, fmt.Sprintf("itl %g ms: at best %g ms", sla.ITLMillis, *low.ITL))
		}
		if len(binds) == 0 {
			binds = append(binds, together(low, sla))
		}
	}
	return fmt.Errorf("the SLA cannot be met on %d x %s: %s (best achievable: ttft %g ms, itl %g ms)",
		s.in.Hardware.TotalGPUs, s.in.Hardware.System, strings.Join(binds, "; "), *low.TTFT, *low.ITL)
}

// together words the case that each target can be met, but not both.
func together(low limits, sla profile.Targets) string {
	text := fmt.Sprintf("ttft %g ms and itl %g ms exclude each other", sla.TTFTMillis, sla.ITLMillis)
	if low.TTFTWithin != nil {
		text += fmt.Sprintf("; with this itl, ttft is at best %g ms", *low.TTFTWithin)
	}
	if low.ITLWithin != nil {
		text += fmt.Sprintf("; with this ttft, itl is at best %g ms", *low.ITLWithin)
	}
	return text
}

// reasons lists what AIConfigurator said of each experiment, alike ones once.
func reasons(errs map[string]string) string {
	var distinct []string
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		if !slices.Contains(distinct, errs[name]) {
			distinct = append(distinct, errs[name])
		}
	}
	if len(distinct) == 0 {
		return "none was found"
	}
	return strings.Join(distinct, "; ")
}
