package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// thoroughRequest asks for six candidates: prefill and decode at TP 1, 2 and 4.
const thoroughRequest = `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: qwen}
spec:
  model: Qwen/Qwen3-32B
  backend: vllm
  image: registry.example.com/dynamo-planner:1.5.1
  searchStrategy: thorough
  hardware: {gpuSku: h200_sxm, totalGpus: 8, numGpusPerNode: 8}
  workload: {isl: 500, osl: 50}
  sla: {ttft: 500, itl: 30}
`

// night is a repository with one thorough request, and what the runner needs to
// answer it on a cluster.
type night struct {
	*cluster
	dir  string
	env  []string
	args []string // of every run
}

func newNight(t *testing.T, config servers.OperatorConfig) *night {
	t.Helper()
	aiperf := os.Getenv("DYNAMO_CMP_AIPERF_PYTHON")
	if aiperf == "" {
		t.Skip("DYNAMO_CMP_AIPERF_PYTHON names no Python with aiperf: make e2e-thorough sets it")
	}
	c := startCluster(t, config)
	n := &night{cluster: c, dir: t.TempDir()}
	n.write(t, thoroughRequest)
	n.env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HF_HUB_CACHE="+c.Hub.Dir, "HF_HUB_OFFLINE=1")
	n.args = []string{"run", "apps", "--namespace", "profiling", "--aiperf", filepath.Join(filepath.Dir(aiperf), "aiperf"),
		"--store", "oci-layout:" + filepath.Join(n.dir, "store"), "--lease-duration", "15s", "--decode-points", "2", "--output", "json"}
	return n
}

// write makes the repository.
func (n *night) write(t *testing.T, dgdr string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(n.dir, "apps/qwen"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, "apps/qwen/dgdr.yaml"), []byte(dgdr), 0o644))
}

// start starts a run, and returns what it says meanwhile.
func (n *night) start(t *testing.T, cmd *exec.Cmd) *saying {
	t.Helper()
	said := &saying{}
	cmd.Stderr = said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	return said
}

// await waits until a run has said something.
func (n *night) await(t *testing.T, said *saying, words string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(said.String(), words) }, 3*time.Minute, 50*time.Millisecond, "%q in:\n%s", words, said)
}

// command is a run of the runner with more arguments.
func (n *night) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), runnerBinary(t), append(n.args, args...)...)
	cmd.Dir, cmd.Env = n.dir, n.env
	return cmd
}

// thoroughRow is what the runner reports of the request.
type thoroughRow struct {
	Status, Confidence, Digest, Error string
	GPUs                              int
	SLAMet                            bool
}

// run runs the runner to its end, and returns its report and what it said.
func (n *night) run(t *testing.T, args ...string) (row thoroughRow, said string) {
	t.Helper()
	cmd := n.command(t, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, _ := cmd.Output() // a failure is in the report
	var rows []thoroughRow
	require.NoError(t, json.Unmarshal(out, &rows), "%s\n%s", out, stderr.String())
	require.Len(t, rows, 1)
	return rows[0], stderr.String()
}

// requireNothingLeft holds that no candidate stays in the cluster. A run that is
// stopped does not wait for the end of what it deletes.
func (n *night) requireNothingLeft(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := n.deployments.List(context.Background(), metav1.ListOptions{}) // in a cleanup, too
		return err == nil && len(list.Items) == 0
	}, time.Minute, 100*time.Millisecond, "deployments are left")
}

// generate renders the application.
func (n *night) generate(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), pluginBinary(t), "generate", "apps/qwen", "--store", "oci-layout:"+filepath.Join(n.dir, "store"))
	cmd.Dir = n.dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}

// trials reads the trials of a stored result.
func (n *night) trials(t *testing.T, digest string) []trial {
	t.Helper()
	var manifest struct {
		Layers []struct{ Digest string }
	}
	n.blob(t, digest, &manifest)
	var result struct{ Trials []trial }
	n.blob(t, manifest.Layers[0].Digest, &result)
	return result.Trials
}

type trial struct {
	Role, State, Reason string
	GPUs                int
	Points              []struct {
		Concurrency           int
		TTFTMillis, ITLMillis float64
	}
}

func (n *night) blob(t *testing.T, digest string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(n.dir, "store/blobs", strings.Replace(digest, ":", "/", 1)))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

// TestThorough goes from a thorough request to the manifests of a measured pick.
func TestThorough(t *testing.T) {
	n := newNight(t, servers.OperatorConfig{Speedup: 1})
	metrics := filepath.Join(n.dir, "run.prom")
	row, said := n.run(t, "--metrics-file", metrics, "--max-gpu-hours", "10", "--log-format", "json")
	t.Log(said)
	require.Empty(t, row.Error)
	require.Equal(t, "profiled", row.Status)
	require.Equal(t, "measured", row.Confidence)
	n.requireNothingLeft(t)

	lock, err := os.ReadFile(filepath.Join(n.dir, "apps/qwen/dynamo.lock"))
	require.NoError(t, err)
	require.Contains(t, string(lock), "confidence: measured")
	require.Contains(t, string(lock), "profiler: aiperf 0.13.0")

	ttft, itl := map[int]float64{}, map[int]float64{}
	trials := n.trials(t, row.Digest)
	require.Len(t, trials, 6)
	for _, tr := range trials {
		require.Equal(t, "measured", tr.State, tr.Reason)
		if tr.Role == "prefill" {
			ttft[tr.GPUs] = tr.Points[0].TTFTMillis
		} else {
			require.Len(t, tr.Points, 2)
			itl[tr.GPUs] = tr.Points[0].ITLMillis
		}
	}
	t.Log(ttft, itl)
	require.Greater(t, ttft[1], ttft[4], "four GPUs answer sooner than one")
	require.Greater(t, itl[1], itl[4])

	told, err := os.ReadFile(metrics)
	require.NoError(t, err)
	for _, line := range []string{`requests{outcome="profiled"} 1`, `candidates{outcome="measured"} 6`, `candidate_phase_duration_seconds_count{phase="deploy"} 6`,
		`candidate_phase_duration_seconds_count{phase="ready"} 6`, `candidate_phase_duration_seconds_count{phase="measure"} 6`,
		`candidate_phase_duration_seconds_count{phase="delete"} 6`, `gpu_budget_seconds{file="dgdr.yaml",request="qwen"} 36000`} {
		require.Contains(t, string(told), "\ndynamo_cmp_"+line+"\n")
	}
	require.Contains(t, said, `"outcome":"measured"`)
	for line := range strings.Lines(string(told)) {
		if strings.HasPrefix(line, "dynamo_cmp_candidate_phase_duration_seconds_sum") {
			t.Log("of six candidates: " + strings.TrimSpace(line)) // what is not ready and measure is the runner's
		}
	}

	out := n.generate(t)
	require.Contains(t, out, "kind: DynamoGraphDeployment")
	require.Contains(t, out, "dynamo-cmp.github.io/confidence: measured")

	again, _ := n.run(t)
	require.Equal(t, "hit", again.Status, "what is measured is measured once")
}
