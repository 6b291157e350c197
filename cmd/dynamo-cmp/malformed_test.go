package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// TestMalformed gives the whole command what a pull request may hold: every
// malformed case of package profile, and files made to hurt. Each must end with
// its messages, exit status 2, nothing on stdout, and modest memory.
func TestMalformed(t *testing.T) {
	cases := malformedCases(t)
	require.Greater(t, len(cases), 40)
	// A child's peak begins with that of its parent, which other tests may have raised
	// (man proc_pid_clear_refs: 5 forgets it).
	debug.FreeOSMemory()
	require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
			if c.hardware != nil {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "hardware.yaml"), c.hardware, 0o644))
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, name+".yaml"), c.data, 0o644))

			cmd := exec.Command("dynamo-cmp", "generate", dir)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.Error(t, cmd.Run())
			require.Equal(t, exitInput, cmd.ProcessState.ExitCode(), stderr.String())
			require.Empty(t, stdout.String())
			require.Equal(t, c.want, stderr.String())
			rusage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			if !raceDetector() {
				require.Less(t, rusage.Maxrss, int64(200<<10), "KiB of memory")
			}
		})
	}
}

// raceDetector is whether this test looks for races, which takes memory.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

type malformedCase struct {
	hardware, data []byte
	want           string
}

func malformedCases(t *testing.T) map[string]malformedCase {
	cases := map[string]malformedCase{}
	for _, path := range []string{"request_malformed.txtar", "document_syntax.txtar"} {
		archive, err := txtar.ParseFile(filepath.Join("../../profile/testdata", path))
		require.NoError(t, err)
		files := map[string][]byte{}
		for _, f := range archive.Files {
			files[f.Name] = f.Data
		}
		for file, want := range files {
			name, ok := strings.CutSuffix(file, ".want")
			// What is no error there starts with a warning, the request or its documents.
			if ok && strings.HasPrefix(string(want), name+".yaml:") && !strings.Contains(string(want), ": document ") {
				cases[name] = malformedCase{files["hardware.yaml"], files[name+".yaml"], string(want)}
			}
		}
	}
	head := "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata:\n  name: a\nspec:\n"
	cases["huge"] = malformedCase{data: bytes.Repeat([]byte("# comment of sixteen b\n"), 50<<20/23), want: fmt.Sprintf("huge.yaml: is %d bytes, more than the 4194304 allowed\n", 50<<20/23*23)}
	cases["huge-value"] = malformedCase{data: []byte(head + "  model: " + strings.Repeat("x", 50<<20)), want: fmt.Sprintf("huge-value.yaml: is %d bytes, more than the 4194304 allowed\n", len(head)+len("  model: ")+50<<20)}
	cases["empty-file"] = malformedCase{want: ".: nothing to render: the directory holds no Kubernetes manifest\n"}
	return cases
}
