// Package thorough answers inputs by measurement: candidates are deployed on a
// cluster and measured with AIPerf.
//
// The rules are those of the thorough path of Dynamo 1.5 (profiler/thorough.py,
// profiler/interpolation.py, sdk/picking.py of AIConfigurator), where
// docs/deviations.md does not say otherwise.
package thorough

import "github.com/dynamo-cmp/dynamo-cmp/profile"

// PrefillPoint is what one prefill engine was measured to do at one input length.
type PrefillPoint struct {
	Engine     profile.Role
	ISL        int
	TTFTMillis float64
}

// DecodePoint is what one decode engine was measured to do at one input length
// and concurrency, with the prompts in its cache.
type DecodePoint struct {
	Engine                profile.Role
	ISL                   int
	Concurrency           int // requests in flight, over all data parallel ranks
	ITLMillis             float64
	TokensPerSecondPerGPU float64
}
