package thorough

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// small is two engines of either role: one GPU and two.
func small() (prefill []PrefillPoint, decode []DecodePoint) {
	one, two := parallelism{1, 1, 1, 1}, parallelism{2, 1, 1, 1}
	prefill = []PrefillPoint{
		{Engine: one.engine(profile.RolePrefill), ISL: 4000, TTFTMillis: 1000},
		{Engine: two.engine(profile.RolePrefill), ISL: 4000, TTFTMillis: 400},
	}
	decode = []DecodePoint{
		{Engine: one.engine(profile.RoleDecode), ISL: 4000, Concurrency: 16, ITLMillis: 20, TokensPerSecondPerGPU: 800},
		{Engine: two.engine(profile.RoleDecode), ISL: 4000, Concurrency: 64, ITLMillis: 40, TokensPerSecondPerGPU: 900},
	}
	return prefill, decode
}

func TestPickTargets(t *testing.T) {
	for _, c := range []struct {
		name     string
		picking  profile.Picking
		sla      profile.Targets
		want     string
		warnings []string
	}{
		{"named targets bind", profile.PickDefault, profile.Targets{TTFTMillis: 500, ITLMillis: 30},
			"2 x (tp2 + tp1), n 16, ttft 400, itl 20.0", nil},
		{"without a TTFT that binds, less would do", profile.PickDefault, profile.Targets{TTFTMillis: 2000, ITLMillis: 30},
			"4 x (tp1 + tp1), n 16, ttft 1000, itl 20.0", nil},
		{"an assumed target is kept where that can be", profile.PickDefault, profile.Targets{TTFTMillis: 500, TTFTAssumed: true, ITLMillis: 30, ITLAssumed: true},
			"2 x (tp2 + tp1), n 16, ttft 400, itl 20.0", nil},
		{"an assumed target gives way to a named one", profile.PickDefault, profile.Targets{TTFTMillis: 500, ITLMillis: 10, ITLAssumed: true},
			"2 x (tp2 + tp1), n 16, ttft 400, itl 20.0, not met",
			[]string{"the measurement misses Dynamo's default of sla.itl by 10 ms; to make a target bind: set it"}},
		{"the closest where nothing is kept", profile.PickDefault, profile.Targets{TTFTMillis: 100, ITLMillis: 10},
			"2 x (tp2 + tp1), n 16, ttft 400, itl 20.0, not met", []string{
				"no pair of engines within 8 GPUs keeps the SLA: the closest misses sla.ttft by 300 ms",
				"no pair of engines within 8 GPUs keeps the SLA: the closest misses sla.itl by 10 ms"}},
		{"a planner's TTFT allows for a queue", profile.PickAutoscale, profile.Targets{TTFTMillis: 1000, ITLMillis: 50},
			"1 x (tp2 + tp2), n 64, ttft 720, itl 40.0", nil},
		{"end to end with a planner", profile.PickAutoscale, profile.Targets{E2ELatencyMillis: 21_000},
			"1 x (tp2 + tp1), n 16, ttft 720, itl 20.0", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := vector{ISL: 4000, OSL: 1000, TotalGPUs: 8}.inputs()
			in.Picking, in.SLA = c.picking, c.sla
			prefill, decode := small()
			got, err := Pick(in, prefill, decode)
			require.Equal(t, c.want, summary(got, err))
			require.Equal(t, c.warnings, got.Warnings)
		})
	}
}

func TestPickIsAResult(t *testing.T) {
	in := vector{ISL: 4000, OSL: 1000, TotalGPUs: 4, Concurrency: 40}.inputs()
	in.Picking, in.SLA = profile.PickLoadMatch, profile.Targets{TTFTMillis: 2000, ITLMillis: 30}
	prefill, decode := small()
	decode[0].Engine.Args = []string{"--max-num-seqs", "1024"}
	got, err := Pick(in, prefill, decode)
	require.NoError(t, err)
	served := 66.7 // two of the three units that it takes
	require.Equal(t, profile.SLAOutcome{Verified: true, TTFTMarginMillis: margin(2000, 1000), ITLMarginMillis: margin(30, 20), LoadServedPercent: &served}, got.SLA)
	require.Equal(t, []string{"hardware.totalGpus 4 serve 66.7% of the load"}, got.Warnings)
	require.Equal(t, profile.Pick{
		Mode: profile.Disaggregated, Backend: profile.BackendVLLM, System: "h200_sxm", TotalGPUs: 4,
		Roles: []profile.Role{
			{Name: profile.RolePrefill, Replicas: 2, GPUsPerEngine: 1, Parallelism: profile.Parallelism{TP: 1, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}, BatchSize: 1, WorkersPerReplica: 1},
			{Name: profile.RoleDecode, Replicas: 2, GPUsPerEngine: 1, Parallelism: profile.Parallelism{TP: 1, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}, BatchSize: 16, WorkersPerReplica: 1,
				Args: []string{"--max-num-seqs", "1024"}},
		},
		Expected: &profile.Metrics{TTFTMillis: 1000, ITLMillis: 20, RequestLatencyMillis: 20980, Concurrency: 16, RequestsPerSecond: 0.736,
			TokensPerSecond: 736, TokensPerSecondPerGPU: 368, TokensPerSecondPerUser: 50},
	}, got.Pick)
	res := profile.Result{Schema: profile.ResultSchema, Inputs: in, Confidence: profile.Measured, SLA: got.SLA, Pick: got.Pick, Alternatives: got.Alternatives, Warnings: got.Warnings}
	_, err = res.Encode()
	require.NoError(t, err)
}

// The order of what was measured, which is that of time, changes nothing.
func TestPickIgnoresOrder(t *testing.T) {
	var vectors []vector
	readShared(t, "picking-vectors.json", &vectors)
	for _, v := range vectors {
		prefill, decode := v.points()
		want, wantErr := Pick(v.inputs(), prefill, decode)
		slices.Reverse(prefill)
		slices.Reverse(decode)
		got, err := Pick(v.inputs(), prefill, decode)
		require.Equal(t, wantErr, err)
		require.Equal(t, want, got, v.Name)
	}
}

func TestPickRefuses(t *testing.T) {
	in := vector{ISL: 4000, OSL: 1000, TotalGPUs: 8}.inputs()
	in.Picking = profile.PickDefault
	prefill, decode := small()
	_, err := Pick(in, prefill, nil)
	require.EqualError(t, err, "picking engines: 2 prefill and 0 decode measurements make no pair")
	decode[0].ITLMillis, decode[1].TokensPerSecondPerGPU = math.NaN(), 0
	_, err = Pick(in, prefill, decode)
	require.EqualError(t, err, "picking engines: 2 prefill and 2 decode measurements make no pair")
}
