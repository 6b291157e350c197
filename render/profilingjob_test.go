package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A DGDR renders the same with overrides.profilingJob and without.
func TestProfilingJobIsNotRendered(t *testing.T) {
	app := filepath.Join(extract(t, "profiling_job"), "app")
	lookup := answering(t, "vllm_disagg_planner")
	with, _, err := build(t, app, lookup)
	require.NoError(t, err)

	file := filepath.Join(app, "dgdr.yaml")
	dgdr, err := os.ReadFile(file)
	require.NoError(t, err)
	before, _, found := strings.Cut(string(dgdr), "  overrides:\n")
	require.True(t, found)
	require.NoError(t, os.WriteFile(file, []byte(before), 0o644))
	without, _, err := build(t, app, lookup)
	require.NoError(t, err)
	require.Equal(t, string(without), string(with))
}
