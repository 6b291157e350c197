package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// What generate prints is a function of the checkout: a live Application, the source
// hydrator, which has no cluster, and a laptop get the same bytes.
func TestOutputDependsOnTheCheckoutAlone(t *testing.T) {
	base := t.TempDir()
	require.NoError(t, errors.Join(os.Chmod(base, 0o755), os.Chmod(filepath.Dir(base), 0o755)))
	bin := filepath.Join(base, "dynamo-cmp")
	self, err := exec.LookPath("dynamo-cmp")
	require.NoError(t, err)
	require.NoError(t, exec.Command("cp", self, bin).Run())
	repo := exampleRepo(t)
	want := run(t, exec.Command(bin, "generate", filepath.Join(repo, "apps", "llama-70b")))

	generate := func(dir string, argument []string, env ...string) *exec.Cmd {
		cmd := exec.Command(bin, append([]string{"generate"}, argument...)...)
		cmd.Dir = dir
		cmd.Env = env
		return cmd
	}
	app := filepath.Join(repo, "apps", "llama-70b")
	argo := []string{"ARGOCD_APP_NAME=llama", "ARGOCD_APP_SOURCE_PATH=./apps/llama-70b/"}
	sent := filepath.Join(base, "_cmp_server", "0c5ed1ce-2f3f-4bd0-a6cc-2c1e4c8d8c51")
	require.NoError(t, os.MkdirAll(filepath.Dir(sent), 0o755))
	require.NoError(t, exec.Command("cp", "-r", repo, sent).Run())
	require.NoError(t, os.RemoveAll(filepath.Join(sent, ".git")))
	readOnly(t, sent)
	// A tar that begins further down, with what the application needs.
	part := filepath.Join(base, "_cmp_server", "7c6f5b0e-31a7-4d6c-9a52-6f4f5c7e9a10")
	require.NoError(t, exec.Command("cp", "-r", filepath.Join(repo, "apps"), part).Run())
	require.NoError(t, exec.Command("cp", "-r", filepath.Join(repo, "hardware.yaml"), filepath.Join(repo, ".dynamo-cmp"), part).Run())

	cases := map[string]*exec.Cmd{
		"relative":         generate(repo, []string{"apps/llama-70b"}, "HOME="+t.TempDir()),
		"from above":       generate("/", []string{app}, "TZ=Asia/Tokyo", "LANG=de_DE.UTF-8"),
		"without home":     generate(app, nil),
		"live application": generate(app, nil, append(argo, "KUBE_VERSION=1.33.1", "KUBE_API_VERSIONS=v1,apps/v1", "ARGOCD_APP_REVISION=aaaaaaaa", "ARGOCD_APP_PARAMETERS=null")...),
		"hydrator":         generate(app, nil, append(argo, "KUBE_VERSION=", "KUBE_API_VERSIONS=", "ARGOCD_APP_REVISION=bbbbbbbb")...),
		"without .git":     generate(filepath.Join(sent, "apps", "llama-70b"), nil, argo...),
		"without its top":  generate(filepath.Join(part, "llama-70b"), nil, argo...),
		"one at a time":    generate(app, nil, "DYNAMO_CMP_MAX_CONCURRENT=1", "DYNAMO_CMP_CACHE_DIR="+t.TempDir()),
		"no cache":         generate(app, nil, "DYNAMO_CMP_CACHE_DIR=/proc/nothing"),
	}
	if os.Geteuid() == 0 {
		other := generate(filepath.Join(sent, "apps", "llama-70b"), nil, argo...)
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 999, Gid: 999}}
		cases["another user"] = other
	}
	for name, cmd := range cases {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, want, run(t, cmd))
		})
	}
}

// exampleRepo is a copy of the example repository as a checkout of its own.
func exampleRepo(t *testing.T) string {
	repo := filepath.Join(t.TempDir(), "repo")
	require.NoError(t, exec.Command("cp", "-r", "../../examples/gitops-repo", repo).Run())
	require.NoError(t, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
	return repo
}

// run is what a command prints; stderr is empty unless a person looks at it.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), stderr.String())
	return stdout.String()
}

// readOnly takes the permission to write from everything in a directory, and gives
// it back to the owner when the test ends.
func readOnly(t *testing.T, dir string) {
	mode := func(dirs, files fs.FileMode) error {
		return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(path, dirs)
			}
			return errors.Join(err, os.Chmod(path, files))
		})
	}
	require.NoError(t, mode(0o555, 0o444))
	t.Cleanup(func() { require.NoError(t, mode(0o755, 0o644)) })
}

// objectsOf is a stream as values.
func objectsOf(t *testing.T, stream string) (objects []any) {
	for dec := yaml.NewDecoder(bytes.NewReader([]byte(stream))); ; {
		var object any
		err := dec.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		objects = append(objects, object)
	}
}
