package rapid

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// python is the interpreter that has AIConfigurator.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DYNAMO_CMP_PYTHON")
	if path == "" {
		path = filepath.Join("..", "..", ".venv", "bin", "python")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no AIConfigurator: %s: set DYNAMO_CMP_PYTHON, or make venv", path)
	}
	abs, err := filepath.Abs(path)
	require.NoError(t, err)
	return abs
}

func inputs(model, system string, gpus int) profile.Inputs {
	return profile.Inputs{
		Schema: profile.InputsSchema, Model: model, Backend: profile.BackendAuto, Strategy: profile.StrategyRapid,
		Hardware: profile.InputHardware{System: system, TotalGPUs: gpus, GPUsPerNode: 8},
		Workload: profile.InputWorkload{ISL: 4000, OSL: 1000},
		SLA:      profile.Targets{TTFTMillis: 2000, ITLMillis: 30},
		Picking:  profile.PickDefault,
	}
}

func TestQwenSmall(t *testing.T) {
	p := New(Options{Python: python(t), Progress: func(_ profile.Inputs, m string) { t.Log(m) }})
	defer p.Close()
	res, files, err := p.Profile(t.Context(), inputs("Qwen/Qwen3-0.6B", "h100_sxm", 8), "")
	require.NoError(t, err)
	_, err = res.Encode()
	require.NoError(t, err)
	b, _ := json.MarshalIndent(res.Pick, "", " ")
	t.Log(string(b), len(res.Alternatives), len(res.Pareto), len(files))
}
