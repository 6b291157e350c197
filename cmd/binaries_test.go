// Package cmd holds no code. Its tests run both commands as they are installed.
package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	cmp    = "dynamo-cmp"
	runner = "dynamo-profile-runner"
)

// binaries is the directory that both commands were built into: DYNAMO_CMP_BIN, or one
// of this run.
var binaries = os.Getenv("DYNAMO_CMP_BIN")

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if binaries != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "dynamo-cmp-binaries-")
		if err == nil {
			defer os.RemoveAll(dir)
			binaries = dir
			err = build(dir, ".")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build builds both commands of a checkout as make build does.
func build(into, cmdDir string, env ...string) error {
	goBuild := exec.Command("go", "build", "-trimpath", "-o", into+"/", "./"+cmp, "./"+runner)
	goBuild.Dir, goBuild.Env = cmdDir, append(os.Environ(), env...)
	if out, err := goBuild.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w: %s", err, out)
	}
	return nil
}

// done is what a command did.
type done struct {
	stdout, stderr string
	status         int
}

// run runs a command line in a directory, with nothing of this process in its
// environment, and ends the test if it takes long or much memory.
func run(t *testing.T, dir string, env []string, name string, args ...string) done {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, name), args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1"}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.NoError(t, ctx.Err(), "%s %v does not end", name, args)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	require.Less(t, usage.Maxrss, int64(400<<10), "KiB of memory for %s %v", name, args)
	return done{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// exampleRepo is a copy of the example repository as a Git repository of one commit.
func exampleRepo(t *testing.T) string {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "repo")
	require.NoError(t, exec.Command("cp", "-r", "../examples/gitops-repo", repo).Run())
	git(t, repo, "init", "-q", "-b", "main")
	commit(t, repo)
	return repo
}

func commit(t *testing.T, repo string) {
	t.Helper()
	git(t, repo, "add", "-A")
	git(t, repo, "commit", "-q", "--allow-empty", "-m", "m")
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}
