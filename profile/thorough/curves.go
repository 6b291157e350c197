package thorough

import (
	"cmp"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Curves are the planner's curves of one prefill and one decode engine, in the
// order of input length and concurrency. kvTokens is the size of the decode
// engine's KV cache. It is an error, which says why, when the planner could not
// fit them: 5 to 64 points of each, latencies that grow.
func Curves(prefill []PrefillPoint, decode []DecodePoint, kvTokens int) (*profile.Curves, error) {
	prefill, decode = slices.Clone(prefill), slices.Clone(decode)
	slices.SortFunc(prefill, func(a, b PrefillPoint) int { return cmp.Compare(a.ISL, b.ISL) })
	slices.SortFunc(decode, func(a, b DecodePoint) int {
		return cmp.Or(cmp.Compare(a.ISL, b.ISL), cmp.Compare(a.Concurrency, b.Concurrency))
	})
	curves := &profile.Curves{Decode: profile.DecodeCurve{MaxKVTokens: kvTokens}}
	for _, p := range prefill {
		c := &curves.Prefill
		c.ISL = append(c.ISL, float64(p.ISL))
		c.TTFTMillis = append(c.TTFTMillis, p.TTFTMillis)
		c.TokensPerSecondPerGPU = append(c.TokensPerSecondPerGPU,
			float64(p.ISL*p.Engine.Parallelism.DP)*1000/p.TTFTMillis/float64(p.Engine.GPUsPerEngine))
	}
	for _, d := range decode {
		c := &curves.Decode
		context := float64(d.ISL) + curveOSL/2 // on average, while the output grows
		c.KVUsage = append(c.KVUsage, context*float64(d.Concurrency)/float64(kvTokens))
		c.ContextLength = append(c.ContextLength, context)
		c.ITLMillis = append(c.ITLMillis, d.ITLMillis)
		c.TokensPerSecondPerGPU = append(c.TokensPerSecondPerGPU, d.TokensPerSecondPerGPU)
	}
	if err := curves.CheckFit(); err != nil {
		return nil, err
	}
	return curves, nil
}
