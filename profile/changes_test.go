package profile

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChanges(t *testing.T) {
	before := Inputs{Schema: 1, Model: "a/b", Hardware: InputHardware{TotalGPUs: 8}, Engine: map[string]any{"x": []any{"1"}}}
	now := before
	now.Hardware.TotalGPUs = 16
	now.Workload.RequestRate = 2.5
	now.Engine = nil

	require.Equal(t, []string{
		"engine.x[0] 1, now not set",
		"hardware.totalGpus 8, now 16",
		"workload.requestRate not set, now 2.5",
	}, Changes(before, now))
	require.Empty(t, Changes(now, now))
}
