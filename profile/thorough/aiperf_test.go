package thorough

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	tinyPrefill = PrefillLoad(300, 1)
	tinyDecode  = DecodeLoad(200, 20, 4, 1)
)

// fakeAIPerf is a shell script in the place of AIPerf, with $out its artifact
// directory and $recordings ours.
func fakeAIPerf(t *testing.T, script string) *AIPerf {
	t.Helper()
	recordings, err := filepath.Abs("testdata/aiperf")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "aiperf")
	head := "#!/bin/sh\nfor out; do :; done\nmkdir -p $out\nrecordings='" + recordings + "'\n"
	require.NoError(t, os.WriteFile(path, []byte(head+script), 0o755))
	return &AIPerf{Command: []string{path}, Dir: t.TempDir()}
}

// impatient waits a second for a record and two for the end.
func impatient(Load) patience {
	return patience{total: 2 * time.Second, first: time.Second, next: time.Second, look: 10 * time.Millisecond}
}

const copyDecode = `
cp $recordings/isl200_osl20_n4.json $out/profile_export_aiperf.json
cp $recordings/isl200_osl20_n4.jsonl $out/profile_export.jsonl
`

func TestMeasure(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"whole", copyDecode, ""},
		{"crash", "echo noise\necho '1 ERROR    disk full' >&2\nexit 3",
			"measuring isl200_osl20_n4: 3 tries: aiperf: exit status 3\n\t1 ERROR    disk full"},
		{"crash without a word", "kill -9 $$", "measuring isl200_osl20_n4: 3 tries: aiperf: signal: killed"},
		{"half a file", copyDecode + "head -c 1000 $recordings/isl200_osl20_n4.json > $out/profile_export_aiperf.json",
			"measuring isl200_osl20_n4: 3 tries: profile_export_aiperf.json: unexpected end of JSON input"},
		{"no file", "true", "measuring isl200_osl20_n4: 3 tries: aiperf ended without an export: "},
		{"no records", copyDecode + "rm $out/profile_export.jsonl", "measuring isl200_osl20_n4: 3 tries: aiperf ended without records: "},
		{"hang before a request", "echo starting\nexec sleep 1000",
			"measuring isl200_osl20_n4: 3 tries: aiperf: no request completed for 1s\n\tstarting"},
		{"hang in the middle", "echo '{}' > $out/profile_export.jsonl\nexec sleep 1000",
			"measuring isl200_osl20_n4: 3 tries: aiperf: no request completed for 1s"},
		{"endless", "while :; do echo '{}' >> $out/profile_export.jsonl; sleep 0.1; done",
			"measuring isl200_osl20_n4: 3 tries: aiperf: not done after 2s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := fakeAIPerf(t, c.script)
			if strings.HasPrefix(c.name, "hang") || c.name == "endless" {
				a.patience = impatient
			}
			m, files, err := a.Measure(context.Background(), Target{}, tinyDecode)
			left, e := os.ReadDir(a.Dir)
			require.NoError(t, e)
			require.Empty(t, left, "scratch directories")
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.Positive(t, m.ITLMillis)
			require.Len(t, files, 2)
			require.Equal(t, "isl200_osl20_n4.json", files[0].Name)
			require.Equal(t, "isl200_osl20_n4.jsonl", files[1].Name)
		})
	}
}

// The third try is the last, and its success counts.
func TestMeasureRetries(t *testing.T) {
	count := filepath.Join(t.TempDir(), "tries")
	a := fakeAIPerf(t, "echo >> "+count+"\n[ $(wc -l < "+count+") = 3 ] || exit 1\n"+copyDecode)
	_, _, err := a.Measure(context.Background(), Target{}, tinyDecode)
	require.NoError(t, err)
	tries, err := os.ReadFile(count)
	require.NoError(t, err)
	require.Len(t, tries, 3)
}

func TestMeasureWithoutAIPerf(t *testing.T) {
	for _, command := range []string{"no-such-aiperf", "/no/such/aiperf"} {
		a := &AIPerf{Command: []string{command}, Dir: t.TempDir()}
		_, _, err := a.Measure(context.Background(), Target{}, tinyDecode)
		require.ErrorContains(t, err, "running aiperf: ")
		require.ErrorContains(t, err, "; to install it: pip install aiperf==0.13.0")
	}
}

// A cancelled measurement leaves no process, whether AIPerf listens to SIGINT, does
// not, or ends and leaves a child; and it is not tried again.
func TestMeasureCancelled(t *testing.T) {
	for _, c := range []struct {
		name, script string
		least, most  time.Duration
	}{
		{"listens", "trap 'exit 130' INT\nsleep 1000 & echo $! > PIDS\nwait", 0, killGrace},
		{"ignores", "trap '' INT\nsleep 1000 & echo $! > PIDS\nwait", killGrace, 2 * killGrace},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			a := fakeAIPerf(t, strings.ReplaceAll(c.script, "PIDS", pids))
			stop := errors.New("SIGTERM")
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			done := make(chan error)
			go func() {
				_, _, err := a.Measure(ctx, Target{}, tinyDecode)
				done <- err
			}()
			child := awaitPID(t, pids)
			begin := time.Now()
			cancel(stop)
			require.ErrorIs(t, <-done, stop)
			require.GreaterOrEqual(t, time.Since(begin), c.least)
			require.Less(t, time.Since(begin), c.most)
			awaitGone(t, child)
		})
	}
}

// A child that outlives AIPerf is killed.
func TestMeasureOrphan(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := fakeAIPerf(t, "sleep 1000 & echo $! > "+pids+"\n"+copyDecode)
	_, _, err := a.Measure(context.Background(), Target{}, tinyDecode)
	require.NoError(t, err)
	awaitGone(t, awaitPID(t, pids))
}

func awaitPID(t *testing.T, file string) int {
	t.Helper()
	var pid int
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	return pid
}

// awaitGone waits until a process is no more, or a zombie that nobody reaps.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, state, _ := strings.Cut(string(stat), ") ")
		return err != nil || strings.HasPrefix(state, "Z")
	}, 5*time.Second, 5*time.Millisecond)
}

func TestLoads(t *testing.T) {
	for _, c := range []struct {
		name string
		got  Load
		want Load
	}{
		{"prefill", PrefillLoad(4000, 1), Load{ISL: 4000, OSL: 5, Concurrency: 1, Requests: 3, WarmUp: 3, Prompts: 6}},
		{"prefill of attention ranks", PrefillLoad(4000, 8), Load{ISL: 4000, OSL: 5, Concurrency: 32, Requests: 32, WarmUp: 24, Prompts: 56}},
		{"decode of one", DecodeLoad(4000, 500, 1, 1), Load{ISL: 4000, OSL: 500, Concurrency: 1, Requests: 1, WarmUp: 3, Prompts: 1}},
		{"decode", DecodeLoad(4000, 500, 64, 1), Load{ISL: 4000, OSL: 500, Concurrency: 64, Requests: 64, WarmUp: 64, Prompts: 64}},
		{"decode of attention ranks", DecodeLoad(4000, 500, 8, 8), Load{ISL: 4000, OSL: 500, Concurrency: 8, Requests: 8, WarmUp: 24, Prompts: 8}},
	} {
		require.Equal(t, c.want, c.got, c.name)
	}
	require.Equal(t, DecodeLoad(200, 20, 4, 1).seed(), tinyDecode.seed())
	require.NotEqual(t, DecodeLoad(200, 20, 5, 1).seed(), tinyDecode.seed())
}

func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name string
		load Load
		want patience
	}{
		{"prefill", PrefillLoad(4000, 1), patience{total: 16 * time.Minute, first: 11 * time.Minute, next: 2 * time.Minute, look: time.Second}},
		{"decode", DecodeLoad(4000, 500, 100, 1), patience{total: 1900 * time.Second, first: 1250 * time.Second, next: 710 * time.Second, look: time.Second}},
		{"at most a request's timeout", DecodeLoad(4000, 1000, 2000, 1), patience{total: 70 * time.Minute, first: 40 * time.Minute, next: 31 * time.Minute, look: time.Second}},
	} {
		require.Equal(t, c.want, patienceFor(c.load), c.name)
	}
}

func TestEnvironment(t *testing.T) {
	fixed := []string{"PYTHONUTF8=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1"}
	mine := []string{"PATH=/bin", "HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "HF_TOKEN=t", "AIPERF_HTTP_X=1", "PYTHONPATH=/x", "PYTHONPYCACHEPREFIX=/tmp"}
	require.Equal(t, append([]string{"PATH=/bin", "HF_TOKEN=t", "PYTHONPYCACHEPREFIX=/tmp"}, fixed...), environment(mine, t.TempDir()))
	require.Equal(t, append([]string{"PATH=/bin", "HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "HF_TOKEN=t", "PYTHONPYCACHEPREFIX=/tmp"}, fixed...), environment(mine, "acme/tiny"))
}
