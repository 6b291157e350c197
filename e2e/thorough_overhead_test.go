package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// overhead is what one run took. Both parts are of the runner, not of what it waits for.
type overhead struct {
	Candidates int
	Wall       time.Duration // of the run
	Own        time.Duration // of it, beside the engines that start and AIPerf that measures
	CPU        time.Duration // of the runner's process
}

// TestThoroughOverhead tells the bench what the runner adds to engines and AIPerf, for
// more and more candidates.
func TestThoroughOverhead(t *testing.T) {
	file := os.Getenv("DYNAMO_CMP_OVERHEAD")
	if file == "" {
		t.Skip("make bench runs it, and names the file to write")
	}
	n := newNight(t, servers.OperatorConfig{Speedup: 1})
	store := 0
	for i, a := range n.args {
		if a == "--store" {
			store = i + 1
		}
	}
	var all []overhead
	for _, gpus := range [][]int{{2}, {4}, {8}, {8, 4}} {
		require.NoError(t, os.RemoveAll(filepath.Join(n.dir, "apps")))
		for i, g := range gpus {
			text := strings.Replace(thoroughRequest, "totalGpus: 8, numGpusPerNode: 8", fmt.Sprintf("totalGpus: %d, numGpusPerNode: %d", g, g), 1)
			dir := filepath.Join(n.dir, "apps", fmt.Sprintf("qwen-%d", i))
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "dgdr.yaml"), []byte(text), 0o644))
		}
		n.args[store] = "oci-layout:" + filepath.Join(n.dir, fmt.Sprint("store-", len(all)))
		o := measureOverhead(t, n)
		t.Logf("%+v", o)
		all = append(all, o)
	}
	data, err := json.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, data, 0o644))
}

func measureOverhead(t *testing.T, n *night) overhead {
	t.Helper()
	metrics := filepath.Join(n.dir, "run.prom")
	cmd := n.command(t, "--metrics-file", metrics, "--log-format", "json", "--jobs", "1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	require.NoError(t, cmd.Start())
	// It ends here, and its times are there until it is waited for.
	require.NoError(t, unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
	o := overhead{Wall: time.Since(started), CPU: cpuTime(t, cmd)}
	require.NoError(t, cmd.Wait(), "%s\n%s", &stdout, &stderr)

	// What is no candidate's, and what is neither ready nor measure of a candidate.
	o.Own = o.Wall
	var first, last time.Time
	for line := range bytes.Lines(stderr.Bytes()) {
		var e struct {
			Time    time.Time
			Event   string
			Outcome string
			Seconds float64 `json:"duration_seconds"`
		}
		require.NoError(t, json.Unmarshal(line, &e), string(line))
		if e.Event != "candidate ended" {
			continue
		}
		require.Equal(t, "measured", e.Outcome)
		took := time.Duration(e.Seconds * float64(time.Second))
		o.Candidates++
		o.Own += took
		if start := e.Time.Add(-took); first.IsZero() || start.Before(first) {
			first = start
		}
		last = e.Time
	}
	require.NotZero(t, o.Candidates)
	o.Own -= last.Sub(first)
	for _, phase := range []string{"ready", "measure"} {
		o.Own -= phaseTime(t, metrics, phase)
	}
	require.Positive(t, o.Own)
	return o
}

// phaseTime is the time of a phase of all candidates.
func phaseTime(t *testing.T, file, phase string) time.Duration {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(data), fmt.Sprintf("\ndynamo_cmp_candidate_phase_duration_seconds_sum{phase=%q} ", phase))
	require.True(t, ok, phase)
	var seconds float64
	_, err = fmt.Sscan(rest, &seconds)
	require.NoError(t, err)
	return time.Duration(seconds * float64(time.Second))
}

// cpuTime is that of a process without its children's (proc(5), fields 14 and 15).
func cpuTime(t *testing.T, cmd *exec.Cmd) time.Duration {
	t.Helper()
	const utime, stime, ticks = 11, 12, 100
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	var user, system int
	_, err = fmt.Sscan(fields[utime]+" "+fields[stime], &user, &system)
	require.NoError(t, err)
	return time.Duration(user+system) * time.Second / ticks
}
