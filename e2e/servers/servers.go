// Package servers runs the real servers that dynamo-cmp works with as processes
// on loopback: a Kubernetes control plane and the parts of Argo CD.
package servers

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Tool is the path of a server's binary, found in the directories that
// DYNAMO_CMP_TOOLS lists. The test is skipped where the binary was not built.
func Tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("DYNAMO_CMP_TOOLS")) {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	t.Skipf("no %s: the make targets e2e-* build the servers and list their directories in DYNAMO_CMP_TOOLS", name)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// given are the ports that Port returned.
var given sync.Map

// Port is a TCP port of loopback that was free a moment ago and was not given before. It
// is none of those that the kernel gives to outgoing connections, from 32768 on, of
// which one could take it before its server does.
func Port(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(15000 + rand.IntN(15000))
		if _, known := given.LoadOrStore(port, true); known {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.Fail(t, "no port is free")
	return ""
}

// Dir is a scratch directory with a path that is short enough for sockets, which
// have 108 characters at most: t.TempDir is not.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Process is a server that runs until it is stopped or the test ends.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// parent runs functions on one thread that lives as long as the test's process.
// Linux sends the signal of a parent's death when the thread ends that started the
// process, and Go ends threads at will.
var parent = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Start runs a server with exactly the given environment and PATH and HOME of
// the test. The end of its log is shown when the test fails.
func Start(t testing.TB, binary string, args, env []string) *Process {
	t.Helper()
	p, err := start(Dir(t), binary, args, env)
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", filepath.Base(binary), p.logEnd(4000))
		}
	})
	return p
}

// start runs a server in a directory until it is killed or the test's process ends.
func start(dir, binary string, args, env []string) (*Process, error) {
	log, err := os.CreateTemp(dir, filepath.Base(binary))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}, env...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	// A test that dies takes its servers along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	parent() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		log.Close()
		return nil, err
	}
	p := &Process{cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		log.Close()
		close(p.done)
	}()
	return p, nil
}

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the server and what it started, at once, and waits for that.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}

// Stop asks the server to end, and kills it when it has not in ten seconds.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Await waits until ready answers nil. It fails the test when the server ends
// before, or after a minute.
func (p *Process) Await(t testing.TB, ready func() error) {
	t.Helper()
	err := errors.New("not asked yet")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("%s ended before it was ready:\n%s", p.cmd.Path, p.logEnd(4000))
		default:
		}
		if err = ready(); err == nil {
			return
		}
	}
	t.Fatalf("%s is not ready after a minute: %v\n%s", p.cmd.Path, err, p.logEnd(4000))
}

// Accepts is a readiness check: something accepts connections at the address.
func Accepts(network, address string) func() error {
	return func() error {
		conn, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

func (p *Process) logEnd(n int) []byte {
	data, _ := os.ReadFile(p.log)
	return data[max(0, len(data)-n):]
}
