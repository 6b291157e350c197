package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dynamo-profile-runner": main, "keypair": keypair})
}

// TestScript runs the command line in copies of the example repository
// ($WORK/repo). The extra command `exits N ARG...` runs dynamo-profile-runner and
// wants that exit status, and `age DIR VERSION` makes the locked results of a directory
// those of another version of their tool; the condition [aiconfigurator] says whether it is here.
func TestScript(t *testing.T) {
	examples, err := filepath.Abs("../../examples/gitops-repo")
	require.NoError(t, err)
	python := aiconfigurator(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("DYNAMO_CMP_PYTHON", python)
			env.Setenv("TODAY", time.Now().UTC().Format(time.DateOnly)) // when the stores were copied
			repo := filepath.Join(env.WorkDir, "repo")
			return errors.Join(
				exec.Command("mkdir", "-p", filepath.Join(repo, ".git")).Run(),
				exec.Command("cp", "-r", examples+"/.", repo).Run(),
			)
		},
		Condition: func(cond string) (bool, error) {
			return cond == "aiconfigurator" && python != "", nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "age": age},
	})
}

// aiconfigurator is a Python that has it, or empty.
func aiconfigurator(t testing.TB) string {
	t.Helper()
	python := os.Getenv("DYNAMO_CMP_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".venv", "bin", "python")
	}
	abs, err := filepath.Abs(python)
	require.NoError(t, err)
	if _, err := os.Stat(abs); err != nil {
		return ""
	}
	return abs
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("dynamo-profile-runner", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("dynamo-profile-runner %v exits with %d, want %d", args[1:], got, want)
	}
}

func age(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	data, err := os.ReadFile(filepath.Join(dir, cache.LockFile))
	ts.Check(err)
	lock, err := cache.ParseLock(cache.LockFile, data)
	ts.Check(err)
	store, err := cache.Open("oci-layout:"+ts.MkAbs(".dynamo-cmp/store"), cache.Options{})
	ts.Check(err)
	for _, e := range lock.Profiles {
		res, err := store.Get(context.Background(), e.Result)
		ts.Check(err)
		res.Provenance.ToolVersion = args[1]
		e.Result, err = store.Put(context.Background(), res, nil)
		ts.Check(err)
		e.Profiler = res.Provenance.Tool + " " + args[1]
		ts.Check(cache.UpdateLock(context.Background(), dir, []cache.LockEntry{e}))
	}
}

// What a terminal obeys is spelled out on stdout, but for the commands that write a file
// there.
func TestOnlyFilesAreRaw(t *testing.T) {
	var stdout strings.Builder
	var raw []string
	for _, cmd := range newRootCommand(&stdout).Commands() {
		stdout.Reset()
		_, err := cmd.OutOrStdout().Write([]byte("\x1b"))
		require.NoError(t, err)
		if stdout.String() == "\x1b" {
			raw = append(raw, cmd.Name())
			continue
		}
		require.Equal(t, `\u001b`, stdout.String(), cmd.Name())
	}
	require.Equal(t, []string{"hardware", "job", "report"}, raw)
}
