package render

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func line(s string) commandLine { return strings.Fields(s) }

func TestPrefillLimits(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"one request gets one graph size", "--data-parallel-size 1 --max-running-requests 1", "--data-parallel-size 1 --max-running-requests 1 --cuda-graph-bs 1"},
		{"attention DP needs a request for each rank", "--data-parallel-size 8 --max-running-requests 1 --enable-dp-attention",
			"--data-parallel-size 8 --enable-dp-attention --cuda-graph-bs 8 --max-running-requests 8"},
		{"plain DP leaves the requests", "--data-parallel-size 8 --max-running-requests 1", "--data-parallel-size 8 --max-running-requests 1 --cuda-graph-bs 8"},
		{"given sizes stay", "--max-running-requests 1 --cuda-graph-bs 4", "--max-running-requests 1 --cuda-graph-bs 4"},
		{"no graphs, no sizes", "--max-running-requests 1 --disable-cuda-graph", "--max-running-requests 1 --disable-cuda-graph"},
		{"enough requests stay", "--data-parallel-size 4 --max-running-requests 16 --enable-dp-attention", "--data-parallel-size 4 --max-running-requests 16 --enable-dp-attention"},
		{"no limit, no change", "--data-parallel-size 4", "--data-parallel-size 4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := line(tc.in)
			l.limitPrefill()
			require.Equal(t, line(tc.want), l)
		})
	}
}

func TestGraphSizes(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"sorted and unique", "--cuda-graph-bs 2 1 2 --host h", "--cuda-graph-bs 1 2 --host h"},
		{"none beyond the requests", "--max-running-requests 4 --cuda-graph-bs 8 4 1", "--max-running-requests 4 --cuda-graph-bs 1 4"},
		{"all beyond the requests: left alone", "--max-running-requests 1 --cuda-graph-bs 8", "--max-running-requests 1 --cuda-graph-bs 8"},
		{"unknown words: left alone", "--cuda-graph-bs auto", "--cuda-graph-bs auto"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := line(tc.in)
			l.cleanGraphSizes()
			require.Equal(t, line(tc.want), l)
		})
	}
}

func TestFlags(t *testing.T) {
	l := line("--a=1 --b 2 3 --c --a 4 --d -1")
	l.drop("--a")
	require.Equal(t, line("--b 2 3 --c --d -1"), l)
	n, ok := l.number("--d")
	require.True(t, ok)
	require.Equal(t, -1, n)
	l.replace("--b", "5")
	l.set("--c", "6")
	require.Equal(t, line("--b 5 --d -1 --c 6"), l)
}

// Paths in a model cache, as dynamo/profiler/utils/model_cache_paths.py has them.
func TestCachePath(t *testing.T) {
	for in, want := range map[string]string{
		"hub/models--o--m/snapshots/h": "/mnt/hub/models--o--m/snapshots/h",
		"x/y/":                         "/mnt/x/y",
		"/x/y":                         "/mnt/x/y",
		"/mnt/x":                       "/mnt/x",
		"/mnt":                         "/mnt",
		"/mnt2/x":                      "/mnt/mnt2/x",
	} {
		require.Equal(t, want, cachePath("/mnt/", in), in)
	}
	require.Equal(t, "my-models", volumeName("my.models"))
}

func TestContextIsClamped(t *testing.T) {
	worker := component("VllmDecodeWorker", "worker", object{"args": []any{"--max-model-len", "200000", "--x"}})
	dgd := object{"spec": object{"components": []any{worker}}}
	a := &assembly{
		req:  &profile.Request{File: "dgdr.yaml", Line: 1},
		ans:  Answer{Result: &profile.Result{Model: profile.Model{ContextLength: 40960}}},
		pick: &profile.Pick{Backend: profile.BackendVLLM},
	}
	a.clampContext(dgd)
	require.Equal(t, []any{"--max-model-len", "40960", "--x"}, mainOf(worker)["args"])
	require.EqualError(t, a.warnings, "dgdr.yaml:1: spec.overrides.dgd: --max-model-len 200000 of component VllmDecodeWorker is more than the model's context of 40960, which is used")
}
