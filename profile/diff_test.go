package profile

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDifferences(t *testing.T) {
	require.Empty(t, Differences(fullResult(), fullResult()))
	before, after := fullResult(), fullResult()
	after.Inputs.Hardware.TotalGPUs = 16
	after.Confidence = Measured
	after.SLA.TTFTMarginMillis = nil
	after.Pick.TotalGPUs = 6
	after.Pick.Roles = []Role{before.Pick.Roles[0], before.Pick.Roles[1]}
	after.Pick.Roles[1].Replicas = 2
	after.Pick.Roles[1].Args = []string{"--a", "c", "d", "--flag"}
	after.Pick.Expected = &Metrics{TTFTMillis: 0.5, ITLMillis: 2, RequestLatencyMillis: 3, Concurrency: 4, RequestsPerSecond: 5, TokensPerSecond: 6, TokensPerSecondPerGPU: 7, TokensPerSecondPerUser: 8}
	after.Alternatives, after.Pareto = nil, nil // not compared
	after.Provenance.ToolVersion = "0.13.0"
	require.Equal(t, []Difference{
		{"inputs.hardware.totalGpus", "8", "16"},
		{"confidence", "simulated", "measured"},
		{"sla.ttftMarginMillis", "1.5", ""},
		{"pick.roles.decode.args.--a", "<b>", "c d"},
		{"pick.roles.decode.args.--flag", "", "set"},
		{"pick.roles.decode.replicas", "1", "2"},
		{"pick.totalGpus", "4", "6"},
		{"expected.ttftMillis", "1", "0.5"},
		{"provenance.toolVersion", "0.12.0", "0.13.0"},
	}, Differences(before, after))
	before.Pick.Expected = nil
	require.Contains(t, Differences(before, after), Difference{"expected.ttftMillis", "", "0.5"})
}
