package thorough

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// readShared decodes a recording of Dynamo's own code.
func readShared(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../shared/data/thorough", name))
	if err != nil {
		t.Skipf("no recordings beside the repository: %v", err)
	}
	require.NoError(t, json.Unmarshal(data, into))
}

func TestGridsAsRecorded(t *testing.T) {
	var recorded struct {
		Concurrencies []struct {
			DP, Granularity, Limit int
			Result                 []int
			EngineMaxConcurrency   int `json:"engine_max_concurrency"`
		} `json:"num_request_range"`
		Prefill []struct {
			Context     int `json:"max_context_length"`
			Granularity int
			ISL         any
		} `json:"prefill_grid"`
		Decode []struct {
			Context     int `json:"max_context_length"`
			KVTokens    int `json:"max_kv_tokens"`
			Granularity int
			DP          int
			Points      [][3]int // isl, osl, concurrency
		} `json:"decode_grid"`
	}
	readShared(t, "grids.json", &recorded)

	require.Len(t, recorded.Concurrencies, 408)
	for _, c := range recorded.Concurrencies {
		got := concurrencies(c.DP, c.EngineMaxConcurrency, c.Granularity)
		require.Equal(t, c.Result, append([]int{}, got...), "%+v", c)
	}
	require.Len(t, recorded.Prefill, 24)
	for _, c := range recorded.Prefill {
		got, err := prefillLengths(c.Context, c.Granularity)
		if _, refused := c.ISL.(string); refused { // ValueError
			require.EqualError(t, err, "measuring a curve: a context of 101 tokens of input leaves too few lengths from 100 on")
			continue
		}
		require.NoError(t, err)
		require.JSONEq(t, jsonOf(t, c.ISL), jsonOf(t, got), "%+v", c)
	}
	require.Len(t, recorded.Decode, 180)
	for _, c := range recorded.Decode {
		loads, err := decodeLoads(c.Context, c.KVTokens, c.DP, c.Granularity)
		require.NoError(t, err)
		got := [][3]int{}
		for _, l := range loads {
			got = append(got, [3]int{l.ISL, curveOSL, l.Concurrency})
		}
		require.Equal(t, c.Points, got, "%+v", c)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// The lengths of real requests give grids within the planner's limits.
func TestCurveGrids(t *testing.T) {
	for _, c := range []struct {
		name                      string
		isl, modelContext         int
		context, prefill, highest int
	}{
		{"the default workload", 4000, 40960, 8000, 17, 7476},
		{"the model's context", 4000, 4096, 4096, 17, 3572},
		{"a short prompt", 50, 40960, 2048, 17, 1524},
		{"an unknown context", 1000, 0, 2048, 17, 1524},
		{"a long prompt", 100_000, 131_072, 131_072, 17, 130_548},
	} {
		t.Run(c.name, func(t *testing.T) {
			context := curveContext(c.isl, c.modelContext)
			require.Equal(t, c.context, context)
			isls, err := prefillLengths(context, PrefillPoints)
			require.NoError(t, err)
			require.Len(t, isls, c.prefill)
			require.Equal(t, c.highest, isls[len(isls)-1])
			loads, err := decodeLoads(context, 800_000, 1, DecodePoints)
			require.NoError(t, err)
			require.LessOrEqual(t, len(loads), 64)
			require.GreaterOrEqual(t, len(loads), 5)
		})
	}
	_, err := prefillLengths(curveContext(100, 512), PrefillPoints)
	require.EqualError(t, err, "measuring a curve: a context of 0 tokens of input leaves too few lengths from 100 on")
}

func TestKVTokensAsRecorded(t *testing.T) {
	var recorded struct {
		Logs []struct {
			Backend profile.Backend
			Log     string
			DP      int
			Result  int
		} `json:"kv_log"`
	}
	readShared(t, "grids.json", &recorded)
	require.Len(t, recorded.Logs, 14)
	for _, c := range recorded.Logs {
		got, ok := kvTokens(c.Backend, c.Log, c.DP)
		want := c.Result
		if c.Backend == profile.BackendTRTLLM && want == 100_000 { // assumedKV
			want = 0
		}
		require.Equal(t, want, got, "%+v", c)
		require.Equal(t, want > 0, ok, "%+v", c)
	}
}
