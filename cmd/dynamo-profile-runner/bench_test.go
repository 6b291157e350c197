package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkRun profiles one request, cold, and beside it runs the command line of
// AIConfigurator on the same question, which is what a user would run otherwise.
func BenchmarkRun(b *testing.B) {
	python := aiconfigurator(b)
	if python == "" {
		b.Skip("no AIConfigurator: make venv")
	}
	repo := b.TempDir()
	require.NoError(b, exec.Command("cp", "-r", "../../examples/gitops-repo/.", repo).Run())
	require.NoError(b, exec.Command("mkdir", filepath.Join(repo, ".git")).Run())
	app := filepath.Join(repo, "apps", "qwen-small")
	require.NoError(b, exec.Command("sed", "-i", "s/Qwen3-0.6B/Qwen3-32B\\n  backend: vllm/", filepath.Join(app, "dgdr.yaml")).Run())
	var ours, theirs time.Duration
	for b.Loop() {
		ours += timed(b, "dynamo-profile-runner", "run", app, "--force", "--python", python)
		theirs += timed(b, python, "-W", "ignore", "-m", "aiconfigurator.main", "cli", "default",
			"--model", "Qwen/Qwen3-32B", "--system", "h200_sxm", "--total-gpus", "8", "--backend", "vllm",
			"--isl", "4000", "--osl", "1000", "--ttft", "2000", "--tpot", "30", "--save-dir", b.TempDir())
	}
	b.ReportMetric(0, "ns/op") // of both together: meaningless
	b.ReportMetric(ours.Seconds()/float64(b.N), "s")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-aiconfigurator-time")
}

func timed(b *testing.B, argv ...string) time.Duration {
	start := time.Now()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	require.NoError(b, err, string(out))
	return time.Since(start)
}
