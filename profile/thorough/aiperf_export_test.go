package thorough

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Exports that Dynamo's own flags gave are read as well; the numbers are theirs.
func TestSharedExports(t *testing.T) {
	dir := "../../../shared/data/thorough/aiperf"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("recorded exports are not there: ", err)
	}
	for _, c := range []struct {
		file  string
		load  Load
		check func(*testing.T, Measurement, error)
	}{
		{"prefill_isl1000/profile_export_aiperf.json", Load{ISL: 1000, OSL: 5, Concurrency: 1, Requests: 1, WarmUp: 3, Prompts: 100},
			func(t *testing.T, m Measurement, err error) {
				require.NoError(t, err)
				cached := 0.0
				require.Equal(t, Measurement{TTFTMillis: 46.489334, MedianTTFTMillis: 46.489334, MinTTFTMillis: 46.489334, MaxTTFTMillis: 46.489334, ITLMillis: 7.38848625,
					TokensPerSecond: 61.46510359924772, CacheReadPercent: &cached, Version: "0.13.0"}, m)
			}},
		{"prefill_dep2_isl1000/profile_export_aiperf.json", Load{ISL: 1000, OSL: 5, Concurrency: 8, Requests: 8, WarmUp: 6, Prompts: 100},
			func(t *testing.T, m Measurement, err error) {
				require.NoError(t, err)
				require.Less(t, m.MaxTTFTMillis, 12*m.ITLMillis, "the mocker batched the burst")
				require.InDelta(t, m.MinTTFTMillis, PrefillTTFT(m, 2), 0)
				require.Equal(t, []string{"2 of 8 answers did not have 5 tokens; they had 5.4 on average"}, m.Warnings)
			}},
		{"decode_request4_isl1000_osl100_n4/profile_export_aiperf.json", Load{ISL: 1000, OSL: 100, Concurrency: 4, Requests: 4, WarmUp: 4, Prompts: 4},
			func(t *testing.T, m Measurement, err error) {
				require.NoError(t, err)
				require.InDelta(t, 357.2443390758629, m.TokensPerSecond, 1e-9)
				require.InDelta(t, 94.67455621301775, *m.CacheReadPercent, 1e-9)
				require.Equal(t, []string{"2 of 4 answers did not have 100 tokens; they had 104.5 on average"}, m.Warnings)
			}},
		{"partial-failure.profile_export_aiperf.json", Load{ISL: 200, OSL: 5, Concurrency: 4, Requests: 12},
			func(t *testing.T, _ Measurement, err error) {
				require.EqualError(t, err, `4 of 12 requests failed: 503 Service Unavailable: "{\"error\":{\"message\":\"overloaded\",\"code\":503}}"`)
			}},
	} {
		t.Run(c.file, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, c.file))
			require.NoError(t, err)
			m, err := parseExport(data, c.load)
			c.check(t, m, err)
		})
	}
}

// What is not a whole measurement is refused: the recorded one, with one thing changed.
func TestExportRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		want   string
	}{
		{"cancelled", func(e map[string]any) { e["was_cancelled"] = true }, "the run was cancelled"},
		{"incomplete", func(e map[string]any) { e["is_complete"] = false }, "the run was cancelled"},
		{"failed requests", func(e map[string]any) { e["error_request_count"] = map[string]any{"avg": 1} }, "1 of 4 requests failed"},
		{"failed warm-up", func(e map[string]any) {
			e["warmup_metrics"].(map[string]any)["error_request_count"] = map[string]any{"avg": 2}
		}, "2 of 4 warm-up requests failed"},
		{"too few requests", func(e map[string]any) { e["request_count"] = map[string]any{"avg": 3} }, "measured 3 requests of 4"},
		{"no requests", func(e map[string]any) { delete(e, "request_count") }, "measured 0 requests of 4"},
		{"no latency", func(e map[string]any) { delete(e, "inter_token_latency") }, "inter_token_latency.avg is missing"},
		{"not a number", func(e map[string]any) { e["time_to_first_token"] = map[string]any{"avg": nil} }, "time_to_first_token.avg is missing"},
		{"no throughput", func(e map[string]any) { e["output_token_throughput"] = map[string]any{"avg": 0} }, "output_token_throughput.avg is 0"},
		{"negative", func(e map[string]any) { e["inter_token_latency"] = map[string]any{"avg": -1} }, "inter_token_latency.avg is -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseExport(changed(t, c.change), tinyDecode)
			require.EqualError(t, err, c.want)
		})
	}
	_, err := parseExport([]byte(strings.Replace(string(changed(t, func(map[string]any) {})), "{", `{"time_to_first_token": {"avg": NaN},`, 1)), tinyDecode)
	require.ErrorContains(t, err, "invalid character 'N'")
}

func TestExportWarnings(t *testing.T) {
	cached := func(percent any) func(map[string]any) {
		return func(e map[string]any) { e["overall_usage_prompt_cache_read_pct"] = percent }
	}
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		load   Load
		want   []string
	}{
		{"cached", cached(map[string]any{"avg": 94.7}), tinyDecode, nil},
		{"evicted", cached(map[string]any{"avg": 35.5}), tinyDecode,
			[]string{"only 36% of the prompts' tokens were cached: throughput and latency include prefill"}},
		{"not told", cached(nil), tinyDecode, nil},
		{"prefill cached", cached(map[string]any{"avg": 94.7}), Load{Requests: 4, WarmUp: 3, Prompts: 7},
			[]string{"95% of the prompts' tokens were cached: time to first token is too short"}},
		{"other length", func(e map[string]any) { e["osl_mismatch_count"] = map[string]any{"avg": 1} }, tinyDecode,
			[]string{"1 of 4 answers did not have 20 tokens; they had 20.0 on average"}},
	} {
		m, err := parseExport(changed(t, c.change), c.load)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, m.Warnings, c.name)
	}
}

func changed(t *testing.T, change func(map[string]any)) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/aiperf/" + tinyDecode.Name() + ".json")
	require.NoError(t, err)
	var e map[string]any
	require.NoError(t, json.Unmarshal(data, &e))
	change(e)
	data, err = json.Marshal(e)
	require.NoError(t, err)
	return data
}

func TestPrefillTTFT(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Measurement
		dp   int
		want float64
	}{
		{"median of single requests", Measurement{TTFTMillis: 70, MedianTTFTMillis: 50, MinTTFTMillis: 40, MaxTTFTMillis: 110}, 1, 50},
		{"burst", Measurement{MinTTFTMillis: 90, MaxTTFTMillis: 520, ITLMillis: 10}, 4, 100},
		{"burst into an engine that batches", Measurement{MinTTFTMillis: 90, MaxTTFTMillis: 150, ITLMillis: 10}, 4, 90},
	} {
		require.InDelta(t, c.want, PrefillTTFT(c.m, c.dp), 1e-9, c.name)
	}
}
