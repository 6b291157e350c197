package rapid

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// storedTables are tables that AIConfigurator wrote, of the example's store.
func storedTables(f *testing.F) (tables []string) {
	f.Helper()
	blobs, err := filepath.Glob("../../examples/gitops-repo/.dynamo-cmp/store/blobs/sha256/*")
	require.NoError(f, err)
	for _, path := range blobs {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		if strings.HasPrefix(string(data), "model,isl,") {
			lines := strings.SplitAfterN(string(data), "\n", 4)
			tables = append(tables, strings.Join(lines[:min(len(lines), 3)], ""))
		}
	}
	require.NotEmpty(f, tables)
	return tables
}

// FuzzTables: the cells of a table are its numbers and texts, none lost and none
// that is no number, and a pick from any row can be stored or is refused.
func FuzzTables(f *testing.F) {
	for _, table := range storedTables(f) {
		f.Add([]byte(table))
	}
	f.Add([]byte("tp,tokens/s/gpu\n1e300,NaN\n-3,Inf\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := readRows(data)
		if err != nil {
			return
		}
		lines, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, len(lines)-1)
		for _, r := range rows {
			for column, value := range r {
				require.Contains(t, lines[0], column)
				if n, ok := value.(float64); ok {
					require.False(t, math.IsNaN(n) || math.IsInf(n, 0), column)
				}
			}
		}
		for _, mode := range modes {
			out := outcome{Best: map[profile.Mode][]ranked{}, Pareto: map[profile.Mode][]row{mode: rows}}
			for _, r := range rows {
				out.Best[mode] = append(out.Best[mode], ranked{Row: r, Backend: profile.BackendVLLM})
			}
			if mode == profile.Aggregated || len(rows) > 0 {
				requireStorable(t, out, mode)
			}
		}
	})
}

// FuzzAnswer: whatever the worker answers for a sweep gives a result that can be
// stored, or an error.
func FuzzAnswer(f *testing.F) {
	for _, table := range storedTables(f) {
		rows, err := readRows([]byte(table))
		require.NoError(f, err)
		mode := profile.Aggregated
		if strings.Contains(table, "(p)bs") {
			mode = profile.Disaggregated
		}
		out := outcome{Chosen: string(mode), Best: map[profile.Mode][]ranked{}, Pareto: map[profile.Mode][]row{mode: rows}}
		for _, r := range rows {
			out.Best[mode] = append(out.Best[mode], ranked{Row: r, Backend: profile.BackendVLLM, Version: "0.20.1", Args: map[string][]string{"agg": {"--max-num-seqs", "8"}}})
		}
		data, err := json.Marshal(out)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out outcome
		if json.Unmarshal(data, &out) == nil {
			requireStorable(t, out, profile.Mode(out.Chosen))
		}
	})
}

// requireStorable picks from a mode as a profile does.
func requireStorable(t *testing.T, out outcome, mode profile.Mode) {
	t.Helper()
	s := &session{in: inputs(qwen, "h200_sxm"), worker: &worker{}, database: silicon, system: systemFacts{VRAMBytes: 141 * gib}}
	s.choose(out)
	if len(out.Best[mode]) == 0 || !s.meets(out.Best[mode][0].Row) {
		return
	}
	res, err := s.conclude(out, mode)
	if err == nil {
		require.LessOrEqual(t, res.Pick.TotalGPUs, s.in.Hardware.TotalGPUs)
		requireRoundTrip(t, res)
	}
}

// requireRoundTrip holds that a result is read as it was stored, where the check
// before storing passes.
func requireRoundTrip(t *testing.T, res *profile.Result) {
	t.Helper()
	data, err := res.Encode()
	if err != nil {
		require.Regexp(t, "^checking result: (pick|alternative [0-9]+|curves): ", err.Error())
		return
	}
	again, err := profile.ParseResult(data)
	require.NoError(t, err)
	second, err := again.Encode()
	require.NoError(t, err)
	require.Equal(t, string(data), string(second))
}

// FuzzDeployment: an imported deployment gives a result that can be stored and whose
// roles are GPUs counted once, or an error.
func FuzzDeployment(f *testing.F) {
	served := "--served-model-name " + qwen
	for _, flags := range []string{
		"--tensor-parallel-size '2' --max-num-seqs '8'",
		"--tensor-parallel-size '4' --data-parallel-size '2' --enable-expert-parallel",
		"--tensor-parallel-size '4294967296' --data-parallel-size '4294967296' --enable-expert-parallel",
		"--tensor-parallel-size '8' --data-parallel-size '3' --enable-dp-attention",
	} {
		for _, module := range []string{"vllm", "sglang", "trtllm"} {
			f.Add([]byte(aggregated(module, flags+" "+served)))
		}
	}
	f.Add([]byte("kind: ConfigMap\nmetadata: {name: dgdr-output-app}\ndata:\n  final_config.yaml: |\n    kind: DynamoGraphDeployment\n"))
	finals, err := filepath.Glob("../../../shared/goldens/dyn-3*/final_config.yaml")
	require.NoError(f, err)
	for _, path := range finals {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		final, err := finalConfig(data, "app")
		if err != nil {
			return
		}
		d, err := readDeployment(final)
		if err != nil {
			require.Regexp(t, "^final_config.yaml: ", err.Error())
			return
		}
		for _, moe := range []bool{false, true} {
			s := &session{in: inputs(qwen, "h200_sxm"), worker: &worker{}, model: modelFacts{MoE: moe}}
			s.in.Backend = profile.BackendAuto
			if res, err := s.importDeployment(d); err == nil {
				requireRoundTrip(t, res)
			}
		}
	})
}
