package profile

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMargins(t *testing.T) {
	ttft, itl, e2e := 1500.0, -3.0, 100.0
	res := Result{Inputs: Inputs{SLA: Targets{TTFTMillis: 2000, ITLMillis: 30}}, SLA: SLAOutcome{TTFTMarginMillis: &ttft, ITLMarginMillis: &itl}}
	require.Equal(t, []Margin{{"itl", 30, -3, -10}, {"ttft", 2000, 1500, 75}}, res.Margins())
	res = Result{Inputs: Inputs{SLA: Targets{E2ELatencyMillis: 400}}, SLA: SLAOutcome{E2ELatencyMarginMillis: &e2e}}
	require.Equal(t, []Margin{{"e2eLatency", 400, 100, 25}}, res.Margins())
	require.Empty(t, (&Result{Inputs: Inputs{SLA: Targets{TTFTMillis: 2000, ITLMillis: 30}}}).Margins())
}

func TestInputsByLine(t *testing.T) {
	in := Inputs{Schema: 1, Model: "m", Backend: BackendVLLM, Strategy: StrategyRapid, Picking: PickDefault, SLA: Targets{TTFTMillis: 0.5, ITLMillis: 30},
		Hardware: InputHardware{System: "h200_sxm", TotalGPUs: 8, GPUsPerNode: 8}, Workload: InputWorkload{ISL: 10, OSL: 20}}
	require.Equal(t, []string{"backend vllm", "hardware.gpusPerNode 8", "hardware.system h200_sxm", "hardware.totalGpus 8", "model m",
		"picking default", "schema 1", "sla.itlMillis 30", "sla.ttftMillis 0.5", "strategy rapid", "workload.isl 10", "workload.osl 20"}, in.Lines())
}
