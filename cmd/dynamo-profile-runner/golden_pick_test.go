package main

import (
	"encoding/csv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// goldenRow is the parallelism, batch sizes and prediction of the picked row; nil
// for a naive pick.
func goldenRow(t *testing.T, file string) map[string]float64 {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	if len(records) < 2 {
		return nil
	}
	out := map[string]float64{}
	for i, column := range records[0] {
		base := strings.TrimPrefix(strings.TrimPrefix(column, "(p)"), "(d)")
		if slices.Contains([]string{"tp", "pp", "dp", "moe_tp", "moe_ep", "bs", "workers", "ttft", "tpot", "request_latency", "concurrency", "tokens/s/gpu"}, base) &&
			!strings.HasPrefix(column, "(e)") {
			out[column], err = strconv.ParseFloat(records[1][i], 64)
			require.NoError(t, err)
		}
	}
	return out
}

func predicted(p profile.Pick) map[string]float64 {
	if p.Expected == nil {
		return nil
	}
	out := map[string]float64{
		"ttft": p.Expected.TTFTMillis, "tpot": p.Expected.ITLMillis, "request_latency": p.Expected.RequestLatencyMillis,
		"concurrency": p.Expected.Concurrency, "tokens/s/gpu": p.Expected.TokensPerSecondPerGPU,
	}
	for _, r := range p.Roles {
		prefix := map[profile.RoleName]string{profile.RolePrefill: "(p)", profile.RoleDecode: "(d)"}[r.Name]
		if prefix != "" {
			out[prefix+"workers"] = float64(r.WorkersPerReplica)
		}
		out[prefix+"tp"], out[prefix+"pp"], out[prefix+"dp"] = float64(r.Parallelism.TP), float64(r.Parallelism.PP), float64(r.Parallelism.DP)
		out[prefix+"moe_tp"], out[prefix+"moe_ep"] = float64(r.Parallelism.MoETP), float64(r.Parallelism.MoEEP)
		out[prefix+"bs"] = float64(r.BatchSize)
	}
	return out
}
