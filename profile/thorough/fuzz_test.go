package thorough

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzExport: what is taken for a measurement of AIPerf is one of the whole load,
// each number of it finite and positive, and says the same when it is written anew.
func FuzzExport(f *testing.F) {
	for _, pattern := range []string{"testdata/aiperf/*.json", "../../../shared/data/thorough/aiperf/*/profile_export_aiperf.json"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			require.NoError(f, err)
			var e export
			require.NoError(f, json.Unmarshal(data, &e))
			data, err = json.Marshal(e) // what is read of it, a twentieth of the bytes
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Add([]byte(`{"error_summary":[{"error_details":{"code":503,"type":"x","message":"\u001b[31m"},"count":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseExport(data, tinyDecode)
		if err != nil {
			require.Equal(t, Measurement{}, m)
			require.Less(t, len(err.Error()), 2000)
			return
		}
		for _, n := range []float64{m.TTFTMillis, m.MedianTTFTMillis, m.MinTTFTMillis, m.MaxTTFTMillis, m.ITLMillis, m.TokensPerSecond} {
			require.True(t, n > 0 && !math.IsInf(n, 0), "%v", m)
		}
		var e export
		require.NoError(t, json.Unmarshal(data, &e))
		require.InDelta(t, tinyDecode.Requests, *e.Requests.Avg, 0)
		require.Zero(t, e.Errors.value())
		again, err := json.Marshal(e)
		require.NoError(t, err)
		second, err := parseExport(again, tinyDecode)
		require.NoError(t, err)
		require.Equal(t, m, second)
	})
}
