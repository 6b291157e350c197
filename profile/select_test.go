package profile

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// selectable ranks three configurations: the pick, one that is slower, and one of
// other engines.
func selectable() *Result {
	r := fullResult()
	r.Inputs.SLA = Targets{TTFTMillis: 500, ITLMillis: 40}
	r.Inputs.Picking = PickDefault
	slower, other := r.Pick, r.Pick
	slower.Expected = &Metrics{TTFTMillis: 501.5, ITLMillis: 30}
	other.Expected = &Metrics{TTFTMillis: 100, ITLMillis: 30, RequestsPerSecond: 2, Concurrency: 8}
	other.Roles = slices.Clone(other.Roles)
	other.Roles[0].Parallelism.DP++
	r.Alternatives = []Pick{slower, other}
	return r
}

func TestSelect(t *testing.T) {
	r := selectable()
	before := *selectable()
	same, err := r.Select(1)
	require.NoError(t, err)
	require.Same(t, r, same)

	second, err := r.Select(2)
	require.NoError(t, err)
	require.Equal(t, r.Alternatives[0], second.Pick)
	require.Equal(t, []Pick{r.Pick, r.Alternatives[1]}, second.Alternatives)
	ttft, itl := -1.5, 10.0
	require.Equal(t, SLAOutcome{Verified: true, TTFTMarginMillis: &ttft, ITLMarginMillis: &itl}, second.SLA)
	require.Equal(t, r.Curves, second.Curves, "the same engines")

	third, err := r.Select(3)
	require.NoError(t, err)
	require.True(t, third.SLA.Met)
	require.Nil(t, third.Curves, "other engines have other curves")
	require.Equal(t, before, *r, "the result itself stays")
}

func TestSelectHoldsLoad(t *testing.T) {
	r := selectable()
	r.Inputs.Picking, r.Inputs.Workload.RequestRate = PickLoadMatch, 16
	units := r.Alternatives[1].Roles[0].Replicas / max(1, r.Alternatives[1].Roles[0].WorkersPerReplica)
	res, err := r.Select(3)
	require.NoError(t, err)
	require.InDelta(t, 100*float64(units)*2/16, *res.SLA.LoadServedPercent, 0.05)
	require.False(t, res.SLA.Met)
}

// A configuration of which nothing was predicted verifies nothing.
func TestSelectUnverified(t *testing.T) {
	r := selectable()
	r.Alternatives[0].Expected = nil
	res, err := r.Select(2)
	require.NoError(t, err)
	require.Equal(t, SLAOutcome{}, res.SLA)
}

func TestSelectRefuses(t *testing.T) {
	r := selectable()
	for _, n := range []int{-1, 0, 4} {
		_, err := r.Select(n)
		require.ErrorContains(t, err, "the result ranks 3 configurations, 1 being the pick")
	}
	r.Alternatives[0].Mode = Aggregated
	_, err := r.Select(2)
	require.ErrorContains(t, err, "is 2, which does not fit the result: pick: roles of mode agg are")
}
