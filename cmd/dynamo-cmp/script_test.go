package main

import (
	"errors"
	"flag"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dynamo-cmp": main, "hold-slot": holdSlot, "keypair": keypair, "sign": signLocked, "adopt": adoptLocked, "reprofile": reprofile,
		"check-jsonschema": checkJSONSchema,
	})
}

// TestScript runs the command line in copies of the example repository ($WORK/repo).
// The extra command `exits N ARG...` runs dynamo-cmp and wants that exit status.
func TestScript(t *testing.T) {
	examples, err := filepath.Abs("../../examples/gitops-repo")
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "a")
				env.Setenv("GIT_"+who+"_EMAIL", "a@example.com")
			}
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			repo := filepath.Join(env.WorkDir, "repo")
			return errors.Join(
				exec.Command("mkdir", "-p", filepath.Join(repo, ".git")).Run(),
				exec.Command("cp", "-r", examples+"/.", repo).Run(),
			)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("dynamo-cmp", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("dynamo-cmp %v exits with %d, want %d", args[1:], got, want)
	}
}
