package thorough

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long AIPerf may take.
type patience struct {
	total time.Duration
	first time.Duration // to the first record of a request
	next  time.Duration // from one record to the next, and to the end
	look  time.Duration // between two looks at the records
}

// patienceFor allows ten minutes for start-up (AIPerf may fetch the tokenizer, and
// makes all prompts first) and, for each wave of concurrent requests, a millisecond
// for each token of the prompts and half a second for each token of an answer: far
// beyond any SLA, and never more than a request is given.
func patienceFor(l Load) patience {
	const startUp = 10 * time.Minute
	wave := time.Duration(l.Concurrency*l.ISL)*time.Millisecond + time.Duration(l.OSL)*time.Second/2
	wave = min(max(wave, time.Minute), requestTimeout)
	waves := (l.WarmUp+l.Concurrency-1)/l.Concurrency + (l.Requests+l.Concurrency-1)/l.Concurrency
	return patience{
		total: startUp + time.Duration(waves)*wave,
		first: startUp + wave,
		next:  time.Minute + wave,
		look:  time.Second,
	}
}

const (
	killGrace = 3 * time.Second // between SIGINT and SIGKILL
	logLines  = 6               // of a failed process, shown in errors
	logWidth  = 300             // bytes of one line
	logTail   = 64 << 10        // bytes that are looked through for them
)

// run runs AIPerf in a process group of its own, of which nothing is left when it
// returns. It ends the group when ctx ends, and when the process takes too long or
// writes no record of a request for too long.
func run(ctx context.Context, cmd *exec.Cmd, records string, limits patience) error {
	log, err := os.Create(filepath.Join(cmd.Dir, "log"))
	if err != nil {
		return fmt.Errorf("log file: %v", err)
	}
	defer log.Close()
	// A file and no pipe: a stray child cannot keep Wait from returning.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("running aiperf: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	running, err := watch(ctx, exited, records, limits)
	if running {
		end(cmd.Process.Pid, exited)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind
	if err != nil {
		return fmt.Errorf("aiperf: %w%s", err, lastWords(log))
	}
	return nil
}

// watch waits for the process to end, or for a reason to end it while it is running.
func watch(ctx context.Context, exited <-chan error, records string, limits patience) (running bool, err error) {
	deadline := time.NewTimer(limits.total)
	defer deadline.Stop()
	look := time.NewTicker(limits.look)
	defer look.Stop()
	size, grown, limit := int64(0), time.Now(), limits.first
	for {
		select {
		case err := <-exited:
			return false, err
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case <-deadline.C:
			return true, fmt.Errorf("not done after %s", limits.total)
		case now := <-look.C:
			if info, err := os.Stat(records); err == nil && info.Size() > size {
				size, grown, limit = info.Size(), now, limits.next
			} else if now.Sub(grown) > limit {
				return true, fmt.Errorf("no request completed for %s", limit)
			}
		}
	}
}

// end asks the group to end, and waits for the process, killing the group if need be.
func end(group int, exited <-chan error) {
	_ = syscall.Kill(-group, syscall.SIGINT)
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case <-exited:
	case <-grace.C:
		_ = syscall.Kill(-group, syscall.SIGKILL)
		<-exited
	}
}

// lastWords are the errors at the end of a log, or else its last lines, each on a
// tabbed line of its own.
func lastWords(log *os.File) string {
	size := int64(0)
	if info, err := log.Stat(); err == nil {
		size = info.Size()
	}
	data := make([]byte, min(size, logTail))
	n, _ := log.ReadAt(data, size-int64(len(data)))
	var lines, failures []string
	for line := range bytes.Lines(data[:n]) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		text := "\n\t" + strings.ToValidUTF8(string(line[:min(len(line), logWidth)]), "?")
		lines = append(lines, text)
		if bytes.Contains(line, []byte(" ERROR ")) || bytes.HasPrefix(line, []byte("Error")) {
			failures = append(failures, text)
		}
	}
	if len(failures) > 0 {
		lines = failures
	}
	return strings.Join(lines[max(0, len(lines)-logLines):], "")
}
