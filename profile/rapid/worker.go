package rapid

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

//go:embed worker.py
var workerSource string

const (
	maxLine     = 64 << 20        // of one answer; a sweep's tables take well under 1 MiB
	killGrace   = 2 * time.Second // between SIGTERM and SIGKILL
	stderrLines = 8               // of a dead worker, shown in errors
)

// refusal is an error that the worker answered; the worker lives on.
type refusal struct {
	Kind    string `json:"kind"` // the exception's class, or a word of worker.py
	Message string `json:"message"`
}

func (r *refusal) Error() string {
	if r.Message == "" {
		return r.Kind
	}
	return r.Message
}

// worker is one process that runs worker.py. One call at a time.
type worker struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers chan []byte   // closed when the process closes its end
	broken  chan struct{} // closed by kill: nobody reads answers any more
	exited  chan struct{} // closed when the process is reaped; exit is valid then
	exit    error
	fault   error // why answers ended early; valid once answers is closed
	stderr  *tail
	calls   int
	dead    bool
	hello   hello
	tables  []string // loaded so far, "system/backend"
}

type hello struct {
	Tool    string `json:"tool"`
	Version string `json:"version"`
}

// workerCommand runs worker.py apart from the directory and the user's packages.
func workerCommand(python string) *exec.Cmd {
	cmd := exec.Command(python, "-P", "-s", "-W", "ignore", "-c", workerSource)
	cmd.Env = workerEnv(os.Environ())
	return cmd
}

// workerEnv keeps a worker deterministic, single-threaded (the pool is the
// parallelism) and, unless the user sets HF_HUB_OFFLINE=0, off the network.
func workerEnv(environ []string) []string {
	fixed := []string{"PYTHONHASHSEED=0", "PYTHONWARNINGS=ignore", "PYTHONUTF8=1",
		"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1", "NUMEXPR_NUM_THREADS=1", "RAYON_NUM_THREADS=1",
		"HF_HUB_DISABLE_TELEMETRY=1", "TOKENIZERS_PARALLELISM=false"}
	if !slices.Contains(environ, "HF_HUB_OFFLINE=0") {
		fixed = append(fixed, "HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1")
	}
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		return strings.HasPrefix(kv, "PYTHON") || strings.HasPrefix(kv, "AICONFIGURATOR_") || strings.HasPrefix(kv, "AIC_")
	})
	return append(env, fixed...)
}

// startWorker starts the command in a process group of its own and waits until
// it says hello.
func startWorker(ctx context.Context, cmd *exec.Cmd, timeout time.Duration) (*worker, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	stdout, child, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	w := &worker{cmd: cmd, stdin: stdin, stderr: &tail{}, answers: make(chan []byte), broken: make(chan struct{}), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = child, w.stderr, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	child.Close()
	if err != nil {
		stdin.Close()
		stdout.Close()
		return nil, fmt.Errorf("running %s: %w", cmd.Path, err)
	}
	go w.read(stdout)
	go func() {
		w.exit = cmd.Wait()
		// A stray child may hold the pipe open for ever.
		_ = stdout.SetReadDeadline(time.Now().Add(time.Second))
		close(w.exited)
	}()
	handshake, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := w.call(handshake, "hello", struct{}{}, &w.hello, nil); err != nil {
		w.kill()
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("no sign of life within %s%s", timeout, w.stderr)
		}
		return nil, err
	}
	return w, nil
}

// read hands out the lines of stdout until it ends.
func (w *worker) read(stdout *os.File) {
	defer close(w.answers)
	defer stdout.Close()
	lines := bufio.NewScanner(stdout)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		select {
		case w.answers <- bytes.Clone(lines.Bytes()):
		case <-w.broken:
			return
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.fault = err
	}
}

type message struct {
	ID       int             `json:"id"`
	Progress string          `json:"progress"`
	Result   json.RawMessage `json:"result"`
	Error    *refusal        `json:"error"`
}

// call asks the worker one thing. A *refusal is the worker's own no; after any
// other error the worker is dead.
func (w *worker) call(ctx context.Context, method string, params, result any, progress func(string)) error {
	w.calls++
	request, err := json.Marshal(map[string]any{"id": w.calls, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("encoding %s: %w", method, err)
	}
	if _, err := w.stdin.Write(append(request, '\n')); err != nil {
		return w.ended(method, nil)
	}
	for {
		select {
		case <-ctx.Done():
			w.kill()
			return fmt.Errorf("%s: %w", method, ctx.Err())
		case line, ok := <-w.answers:
			if !ok {
				return w.ended(method, w.fault)
			}
			var m message
			if err := json.Unmarshal(line, &m); err != nil || m.ID != w.calls {
				return w.fail(method, fmt.Errorf("unexpected answer %q", cut(line, 80)))
			}
			switch {
			case m.Error != nil:
				return m.Error
			case m.Result != nil:
				if err := json.Unmarshal(m.Result, result); err != nil {
					return w.fail(method, fmt.Errorf("decoding answer: %w", err))
				}
				return nil
			case progress != nil:
				progress(m.Progress)
			}
		}
	}
}

// ended says how a process ended that answers no more.
func (w *worker) ended(method string, cause error) error {
	select {
	case <-w.exited:
		if cause == nil {
			cause = w.exit
		}
	case <-time.After(killGrace):
	}
	if cause == nil {
		cause = errors.New("ended without an answer")
	}
	return w.fail(method, cause)
}

// fail kills the worker; the error shows its last lines.
func (w *worker) fail(method string, cause error) error {
	w.kill()
	return fmt.Errorf("%s: worker: %w%s", method, cause, w.stderr)
}

// kill ends the worker's process group and waits for the process.
func (w *worker) kill() {
	if w.dead {
		return
	}
	w.dead = true
	close(w.broken)
	w.stdin.Close()
	group := -w.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-w.exited:
	case <-time.After(killGrace):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // also what the worker left behind
	<-w.exited
}

// cut shortens text for a message.
func cut(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	return append(bytes.Clone(text[:n]), "…"...)
}
