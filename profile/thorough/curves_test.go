package thorough

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// measured are the points of the default workload's grids, as an engine on four
// GPUs would give them whose latencies are linear.
func measured(t *testing.T) (prefill []PrefillPoint, decode []DecodePoint) {
	t.Helper()
	const kvTokens = 200_000
	context := curveContext(4000, 40960)
	engine := parallelism{TP: 2, DP: 2, MoETP: 1, MoEEP: 4}.engine
	isls, err := prefillLengths(context, PrefillPoints)
	require.NoError(t, err)
	for _, isl := range isls {
		prefill = append(prefill, PrefillPoint{Engine: engine(profile.RolePrefill), ISL: isl, TTFTMillis: 20 + float64(isl)/10})
	}
	loads, err := decodeLoads(context, kvTokens, 2, DecodePoints)
	require.NoError(t, err)
	for _, l := range loads {
		itl := 5 + float64(l.Concurrency)/20 + float64((l.ISL+250)*l.Concurrency)/20_000
		decode = append(decode, DecodePoint{Engine: engine(profile.RoleDecode), ISL: l.ISL, Concurrency: l.Concurrency,
			ITLMillis: itl, TokensPerSecondPerGPU: float64(l.Concurrency) * 250 / itl})
	}
	return prefill, decode
}

func TestCurves(t *testing.T) {
	prefill, decode := measured(t)
	curves, err := Curves(prefill, decode, 200_000)
	require.NoError(t, err)
	require.Len(t, curves.Prefill.ISL, 17)
	require.Equal(t, 561.0, curves.Prefill.ISL[1])
	require.InDelta(t, 76.1, curves.Prefill.TTFTMillis[1], 1e-9)
	require.InDelta(t, 561*2*1000/76.1/4, curves.Prefill.TokensPerSecondPerGPU[1], 1e-6)
	require.Len(t, curves.Decode.KVUsage, 36)
	require.Equal(t, 350.0, curves.Decode.ContextLength[0])
	require.InDelta(t, 350*2/200_000.0, curves.Decode.KVUsage[0], 1e-12)
	require.LessOrEqual(t, slices.Max(curves.Decode.KVUsage), 1.0)
	require.Equal(t, 200_000, curves.Decode.MaxKVTokens)

	slices.Reverse(prefill)
	slices.Reverse(decode)
	again, err := Curves(prefill, decode, 200_000)
	require.NoError(t, err)
	require.Equal(t, curves, again)
}

func TestCurvesRefuse(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(prefill []PrefillPoint, decode []DecodePoint) ([]PrefillPoint, []DecodePoint)
		want  string
	}{
		{"nothing measured", func([]PrefillPoint, []DecodePoint) ([]PrefillPoint, []DecodePoint) { return nil, nil },
			"checking prefill curve: has 0 points, the planner uses 5 to 64"},
		{"a cold first sample", func(p []PrefillPoint, d []DecodePoint) ([]PrefillPoint, []DecodePoint) {
			p[0].TTFTMillis = 60_000
			return p, d
		}, "checking prefill curve: fitted TTFT does not grow with the input length"},
		{"a length measured twice", func(p []PrefillPoint, d []DecodePoint) ([]PrefillPoint, []DecodePoint) {
			return append(p, p[0]), d
		}, "checking prefill curve: isl[1] is 100, not above 100 before it"},
		{"one context length", func(p []PrefillPoint, d []DecodePoint) ([]PrefillPoint, []DecodePoint) { return p, d[:6] },
			"checking decode curve: points lie on one line: more than one context length is needed"},
		{"a failed point", func(p []PrefillPoint, d []DecodePoint) ([]PrefillPoint, []DecodePoint) {
			d[3].ITLMillis = 0
			return p, d
		}, "checking decode curve: itlMillis[3] is 0, not a positive number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			prefill, decode := c.spoil(measured(t))
			_, err := Curves(prefill, decode, 200_000)
			require.EqualError(t, err, c.want)
		})
	}
}
