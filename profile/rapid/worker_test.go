package rapid

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeVariable makes the test binary a worker that misbehaves as its value says.
const fakeVariable = "RAPID_FAKE_WORKER"

func TestMain(m *testing.M) {
	if how := os.Getenv(fakeVariable); how != "" {
		fakeWorker(how)
		return
	}
	os.Exit(m.Run())
}

// fakeWorker answers hello, then every request as told.
func fakeWorker(how string) {
	if how == "mute" {
		time.Sleep(time.Hour) // a select without cases would be a deadlock: nothing else runs
	}
	requests := bufio.NewScanner(os.Stdin)
	for requests.Scan() {
		var r struct {
			ID     int
			Method string
		}
		if err := json.Unmarshal(requests.Bytes(), &r); err != nil {
			return
		}
		if r.Method == "hello" {
			fmt.Printf(`{"id":%d,"result":{"tool":"fake","version":"1"}}`+"\n", r.ID)
			continue
		}
		switch how {
		case "echo":
			fmt.Printf(`{"id":%d,"progress":"working"}`+"\n", r.ID)
			fmt.Printf(`{"id":%d,"result":%d}`+"\n", r.ID, os.Getpid())
		case "refuse":
			fmt.Printf(`{"id":%d,"error":{"kind":"ValueError","message":"no tables"}}`+"\n", r.ID)
		case "die":
			fmt.Fprintf(os.Stderr, "%s\n\nMemoryError: cannot allocate\n", strings.Repeat("noise\n", 100_000))
			os.Exit(3)
		case "garbage":
			fmt.Println("Traceback (most recent call last)")
		case "long":
			fmt.Println(strings.Repeat("x", maxLine+1))
			time.Sleep(time.Hour)
		case "hang":
			child := exec.Command("sleep", "1000")
			child.Stdout = os.Stdout
			if err := child.Start(); err != nil {
				return
			}
			fmt.Printf(`{"id":%d,"progress":"%d"}`+"\n", r.ID, child.Process.Pid)
			signal.Ignore(syscall.SIGTERM)
			time.Sleep(time.Hour)
		}
	}
}

func fake(how string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fakeVariable+"="+how)
	return cmd
}

func startFake(t *testing.T, how string) *worker {
	t.Helper()
	w, err := startWorker(t.Context(), fake(how), time.Minute)
	require.NoError(t, err)
	t.Cleanup(w.kill)
	return w
}

func TestWorkerAnswers(t *testing.T) {
	w := startFake(t, "echo")
	var said []string
	for range 2 {
		var pid int
		require.NoError(t, w.call(t.Context(), "sweep", nil, &pid, func(m string) { said = append(said, m) }))
		require.Equal(t, w.cmd.Process.Pid, pid)
	}
	require.Equal(t, []string{"working", "working"}, said)
	require.Equal(t, hello{"fake", "1"}, w.hello)
}

func TestWorkerRefusalLeavesItAlive(t *testing.T) {
	w := startFake(t, "refuse")
	for range 2 {
		var r *refusal
		require.ErrorAs(t, w.call(t.Context(), "sweep", nil, nil, nil), &r)
		require.Equal(t, &refusal{"ValueError", "no tables"}, r)
	}
	require.False(t, w.dead)
}

func TestWorkerFaults(t *testing.T) {
	for _, c := range []struct{ how, want string }{
		{"die", "sweep: worker: exit status 3" + strings.Repeat("\n\tnoise", stderrLines-1) + "\n\tMemoryError: cannot allocate"},
		{"garbage", `sweep: worker: unexpected answer "Traceback (most recent call last)"`},
		{"long", "sweep: worker: bufio.Scanner: token too long"},
	} {
		t.Run(c.how, func(t *testing.T) {
			w := startFake(t, c.how)
			err := w.call(t.Context(), "sweep", nil, nil, nil)
			require.EqualError(t, err, c.want)
			require.True(t, w.dead)
		})
	}
}

func TestWorkerCancelKillsTheGroup(t *testing.T) {
	w := startFake(t, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	child := 0
	err := w.call(ctx, "sweep", nil, nil, func(m string) {
		pid, err := strconv.Atoi(m)
		require.NoError(t, err)
		child = pid
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotZero(t, child)
	require.Eventually(t, func() bool { return !running(child) }, 10*time.Second, 10*time.Millisecond)
}

// running reports whether a process lives; an orphan's zombie does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestWorkerStartFails(t *testing.T) {
	_, err := startWorker(t.Context(), fake("mute"), 50*time.Millisecond)
	require.EqualError(t, err, "no sign of life within 50ms")
	_, err = startWorker(t.Context(), exec.Command("/nonexistent/python"), time.Minute)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = startWorker(t.Context(), exec.Command("false"), time.Minute)
	require.EqualError(t, err, "hello: worker: exit status 1")
}

func TestWorkerEnv(t *testing.T) {
	env := workerEnv([]string{"HOME=/root", "PYTHONPATH=/evil", "AIC_ALLOW_UNLISTED_VERSIONS=1"})
	require.Contains(t, env, "HOME=/root")
	require.Contains(t, env, "HF_HUB_OFFLINE=1")
	require.NotContains(t, env, "PYTHONPATH=/evil")
	require.NotContains(t, env, "AIC_ALLOW_UNLISTED_VERSIONS=1")
	require.NotContains(t, workerEnv([]string{"HF_HUB_OFFLINE=0"}), "HF_HUB_OFFLINE=1")
}

// ask has the pool's worker do one thing.
func ask(ctx context.Context, p *pool, tables ...string) (pid int, err error) {
	ctx, cancel := p.bind(ctx)
	defer cancel()
	w, err := p.acquire(ctx, tables, func(string) {})
	if err != nil {
		return 0, err
	}
	defer p.release(w)
	if err := w.call(ctx, "sweep", nil, &pid, nil); err != nil {
		return 0, err
	}
	for _, t := range tables {
		if !slices.Contains(w.tables, t) {
			w.tables = append(w.tables, t)
		}
	}
	return pid, nil
}

func fakePool(jobs int, how ...string) *pool {
	var mu sync.Mutex
	return newPool(jobs, func(ctx context.Context) (*worker, error) {
		mu.Lock()
		one := how[0]
		how = append(how[1:], one)
		mu.Unlock()
		return startWorker(ctx, fake(one), time.Minute)
	})
}

func TestPoolRoutesToLoadedTables(t *testing.T) {
	p := fakePool(2, "echo")
	defer p.close()
	first, err := ask(t.Context(), p, "h100_sxm/vllm")
	require.NoError(t, err)
	second, err := ask(t.Context(), p, "h200_sxm/vllm")
	require.NoError(t, err)
	require.NotEqual(t, first, second, "other tables, and a worker is still to be started")
	for range 3 {
		for tables, want := range map[string]int{"h100_sxm/vllm": first, "h200_sxm/vllm": second} {
			got, err := ask(t.Context(), p, tables)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

// What a worker has loaded stays in its memory.
func TestPoolReplacesTheFull(t *testing.T) {
	p := fakePool(1, "echo")
	defer p.close()
	pids := map[int]bool{}
	for i := range 2 * maxTables {
		pid, err := ask(t.Context(), p, fmt.Sprintf("system%d/vllm", i))
		require.NoError(t, err)
		pids[pid] = true
	}
	require.Len(t, pids, 2)
}

func TestPoolReplacesTheDead(t *testing.T) {
	p := fakePool(1, "die", "echo")
	defer p.close()
	_, err := ask(t.Context(), p)
	require.ErrorContains(t, err, "exit status 3")
	_, err = ask(t.Context(), p)
	require.NoError(t, err)
}

func TestPoolConcurrently(t *testing.T) {
	p := fakePool(2, "echo", "die", "echo", "echo")
	pids, failed := map[int]bool{}, 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			pid, err := ask(t.Context(), p, fmt.Sprintf("system%d/vllm", i%3))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			pids[pid] = true
		})
	}
	all.Wait()
	require.Equal(t, 1, failed)
	require.LessOrEqual(t, len(pids), 2)
	p.close()
	for pid := range pids {
		require.False(t, running(pid))
	}
	_, err := ask(t.Context(), p)
	require.ErrorIs(t, err, errClosed)
}

func TestPoolCloseEndsWork(t *testing.T) {
	before := runtime.NumGoroutine()
	p := fakePool(1, "hang")
	errs := make(chan error, 2)
	for range 2 { // one at work, one waiting
		go func() {
			_, err := ask(context.Background(), p)
			errs <- err
		}()
	}
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.waiting) == 1
	}, 10*time.Second, time.Millisecond)
	p.close()
	for range 2 {
		require.True(t, errors.Is(<-errs, context.Canceled))
	}
	// One more is the condition itself.
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 10*time.Second, 10*time.Millisecond)
}
