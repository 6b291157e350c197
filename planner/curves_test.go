package planner_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// usable is a pair of curves that the planner can fit.
func usable() *profile.Curves {
	return &profile.Curves{
		Prefill: profile.PrefillCurve{
			ISL:                   []float64{100, 561, 1022, 1483, 1944},
			TTFTMillis:            []float64{30, 80, 120, 170, 210},
			TokensPerSecondPerGPU: []float64{3000, 7000, 8000, 8500, 9000},
		},
		Decode: profile.DecodeCurve{
			KVUsage:               []float64{0.1, 0.5, 1, 0.1, 0.5, 1},
			ContextLength:         []float64{350, 350, 350, 1750, 1750, 1750},
			ITLMillis:             []float64{9, 14, 20, 8, 11, 16},
			TokensPerSecondPerGPU: []float64{100, 200, 300, 90, 180, 280},
			MaxKVTokens:           100000,
		},
	}
}

func TestProfileDataRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*profile.Curves)
		want  string
	}{
		{"too few points", func(c *profile.Curves) { c.Prefill.ISL = c.Prefill.ISL[:4] },
			"checking prefill curve: has 4 points, the planner uses 5 to 64"},
		{"more points than are kept", func(c *profile.Curves) { c.Decode.KVUsage = slices.Repeat([]float64{0.5}, 65) },
			"checking decode curve: has 65 points, the planner uses 5 to 64"},
		{"arrays of two lengths", func(c *profile.Curves) { c.Prefill.TTFTMillis = c.Prefill.TTFTMillis[:4] },
			"checking prefill curve: ttftMillis has 4 points, isl has 5"},
		{"no number", func(c *profile.Curves) { c.Decode.ITLMillis[2] = math.NaN() },
			"checking decode curve: itlMillis[2] is NaN, not a positive number"},
		{"nothing per second", func(c *profile.Curves) { c.Prefill.TokensPerSecondPerGPU[0] = 0 },
			"checking prefill curve: tokensPerSecondPerGpu[0] is 0, not a positive number"},
		{"input lengths out of order", func(c *profile.Curves) { slices.Reverse(c.Prefill.ISL) },
			"checking prefill curve: isl[1] is 1483, not above 1944 before it"},
		{"a cold first sample", func(c *profile.Curves) { c.Prefill.TTFTMillis[0] = 4000 },
			"checking prefill curve: fitted TTFT does not grow with the input length"},
		{"more KV than there is", func(c *profile.Curves) { c.Decode.KVUsage[5] = 1.2 },
			"checking decode curve: kvUsage goes up to 1.2, not 1"},
		{"no KV capacity", func(c *profile.Curves) { c.Decode.MaxKVTokens = 0 },
			"checking decode curve: maxKvTokens is 0, not positive"},
		{"one context length", func(c *profile.Curves) { c.Decode.ContextLength = slices.Repeat([]float64{500}, 6) },
			"checking decode curve: points lie on one line: more than one context length is needed"},
		{"ITL that falls", func(c *profile.Curves) { slices.Reverse(c.Decode.ITLMillis) },
			"checking decode curve: fitted ITL does not grow with the KV tokens in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			curves := usable()
			c.spoil(curves)
			_, err := planner.ProfileData(curves, "demo-dgd")
			require.EqualError(t, err, c.want)
		})
	}
	_, err := planner.ProfileData(usable(), "demo-dgd")
	require.NoError(t, err)
}
