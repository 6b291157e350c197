package rapid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// More GPUs are expected to be faster, more requests at once to be slower each and
// faster together.
func TestPredict(t *testing.T) {
	p := New(Options{Python: python(t)})
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	in := profile.Inputs{
		Model: "Qwen/Qwen3-32B", Backend: profile.BackendVLLM, Strategy: profile.StrategyThorough,
		Hardware: profile.InputHardware{System: "h200_sxm", TotalGPUs: 8, GPUsPerNode: 8}, Workload: profile.InputWorkload{ISL: 1000, OSL: 100},
	}
	tp := func(n int) profile.Parallelism { return profile.Parallelism{TP: n, PP: 1, DP: 1, MoETP: 1, MoEEP: 1} }
	trials := []profile.Trial{
		{Role: profile.RolePrefill, Parallelism: tp(1), Points: []profile.Point{{ISL: 1000, OSL: 5, Concurrency: 1}}},
		{Role: profile.RolePrefill, Parallelism: tp(4), Points: []profile.Point{{ISL: 1000, OSL: 5, Concurrency: 1}}},
		{Role: profile.RoleDecode, Parallelism: tp(2), Points: []profile.Point{{ISL: 1000, OSL: 100, Concurrency: 1}, {ISL: 1000, OSL: 100, Concurrency: 64}}},
		{Role: profile.RoleDecode, Parallelism: tp(4), State: profile.TrialFailed},
	}
	require.NoError(t, p.Predict(t.Context(), in, "", trials))
	one, four := trials[0].Points[0].Predicted, trials[1].Points[0].Predicted
	require.Greater(t, one.TTFTMillis, four.TTFTMillis)
	require.Zero(t, one.ITLMillis)
	few, many := trials[2].Points[0].Predicted, trials[2].Points[1].Predicted
	require.Greater(t, many.ITLMillis, few.ITLMillis)
	require.Greater(t, many.TokensPerSecondPerGPU, few.TokensPerSecondPerGPU)

	in.Hardware.System = "l40" // of which there is no table
	unknown := []profile.Trial{{Role: profile.RolePrefill, Parallelism: tp(1), Points: []profile.Point{{ISL: 1000, OSL: 5, Concurrency: 1}}}}
	in.Hardware.VRAMMiB = 49152
	require.NoError(t, p.Predict(t.Context(), in, "", unknown))
	require.Nil(t, unknown[0].Points[0].Predicted)
}
