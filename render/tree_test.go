package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// write makes the files of a repository and returns its directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	repo := t.TempDir()
	for name, data := range files {
		path := filepath.Join(repo, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(data), 0o644))
	}
	return repo
}

func TestRootIsTheRepository(t *testing.T) {
	repo := write(t, map[string]string{".git/HEAD": "", "apps/one/a.yaml": ""})
	tree, at, err := render.OpenTree(filepath.Join(repo, "apps/one"))
	require.NoError(t, err)
	defer tree.Close()
	require.Equal(t, "apps/one", at)
	require.Equal(t, repo, tree.Root())

	worktree := write(t, map[string]string{".git": "gitdir: elsewhere", "apps/one/a.yaml": ""})
	_, at, err = render.OpenTree(filepath.Join(worktree, "apps/one"))
	require.NoError(t, err)
	require.Equal(t, "apps/one", at)

	bare := write(t, map[string]string{"apps/one/a.yaml": ""})
	_, at, err = render.OpenTree(filepath.Join(bare, "apps/one"))
	require.NoError(t, err)
	require.Equal(t, ".", at)

	_, _, err = render.OpenTree(filepath.Join(bare, "apps/one/a.yaml"))
	require.ErrorContains(t, err, "not a directory")
	_, _, err = render.OpenTree(filepath.Join(bare, "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestNothingOutsideIsRead(t *testing.T) {
	outside := write(t, map[string]string{"secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n", "hardware.yaml": "x"})
	repo := write(t, map[string]string{".git/HEAD": "", "in/a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"})
	link := func(to, name string) { require.NoError(t, os.Symlink(to, filepath.Join(repo, name))) }
	require.NoError(t, os.MkdirAll(filepath.Join(repo, "app"), 0o755))
	link(filepath.Join(outside, "secret.yaml"), "app/absolute.yaml")
	link("../../"+filepath.Base(outside)+"/secret.yaml", "app/relative.yaml")
	link("../in/a.yaml", "app/inside.yaml")
	link(outside, "away")

	tree, at, err := render.OpenTree(filepath.Join(repo, "app"))
	require.NoError(t, err)
	defer tree.Close()
	_, err = tree.Load(at)
	require.EqualError(t, err, "app/absolute.yaml: path escapes from parent\napp/relative.yaml: path escapes from parent")
	_, err = tree.Read("../" + filepath.Base(outside) + "/secret.yaml")
	require.ErrorContains(t, err, "path escapes from parent")
	_, _, err = render.OpenTree(filepath.Join(repo, "away"))
	require.ErrorContains(t, err, "path escapes from parent")
}

func TestOddFiles(t *testing.T) {
	repo := write(t, map[string]string{".git/HEAD": "", "big.yaml": strings.Repeat("#\n", 3<<20)})
	require.NoError(t, syscall.Mkfifo(filepath.Join(repo, "pipe.yaml"), 0o644))
	require.NoError(t, os.Mkdir(filepath.Join(repo, "directory.yaml"), 0o755))
	tree, at, err := render.OpenTree(repo)
	require.NoError(t, err)
	defer tree.Close()
	_, err = tree.Load(at)
	require.EqualError(t, err, "big.yaml: is 6291456 bytes, more than the 4194304 allowed\n"+
		"pipe.yaml: not a regular file")
}
