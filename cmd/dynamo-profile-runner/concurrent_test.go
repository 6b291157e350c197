package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// relock is a repository whose results are stored and whose locks are gone, with
// both example requests in one directory, so that runners meet at one lock.
func relock(t *testing.T) (dir string) {
	t.Helper()
	repo := t.TempDir()
	require.NoError(t, exec.Command("cp", "-r", "../../examples/gitops-repo/.", repo).Run())
	require.NoError(t, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
	dir = filepath.Join(repo, "apps", "both")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for _, app := range []string{"qwen-small", "llama-70b"} {
		require.NoError(t, os.Rename(filepath.Join(repo, "apps", app, "dgdr.yaml"), filepath.Join(dir, app+".yaml")))
	}
	return dir
}

func lockedNames(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, cache.LockFile))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	lock, err := cache.ParseLock(cache.LockFile, data)
	require.NoError(t, err)
	var names []string
	for _, e := range lock.Profiles {
		names = append(names, e.Name)
	}
	return names
}

// Sixteen runners that answer different requests of one directory at the same time
// each keep what the others locked.
func TestRunnersAtOnceLoseNothing(t *testing.T) {
	dir := relock(t)
	for range 5 {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, cache.LockFile)))
		var runners []*exec.Cmd
		for i := range 16 {
			app := []string{"qwen-small", "llama-70b"}[i%2]
			cmd := exec.Command("dynamo-profile-runner", "run", filepath.Join(dir, app+".yaml"))
			require.NoError(t, cmd.Start())
			runners = append(runners, cmd)
		}
		for _, cmd := range runners {
			require.NoError(t, cmd.Wait())
		}
		require.Equal(t, []string{"llama-70b", "qwen-small"}, lockedNames(t, dir))
	}
}

// A runner that is killed at any moment leaves a lock that can be read, and the
// next one completes.
func TestRunnerKilled(t *testing.T) {
	dir := relock(t)
	lock := filepath.Join(dir, cache.LockFile)
	for range 30 {
		require.NoError(t, os.RemoveAll(lock))
		cmd := exec.Command("dynamo-profile-runner", "run", dir)
		require.NoError(t, cmd.Start())
		time.Sleep(rand.N(40 * time.Millisecond)) // the moment of the kill, not a wait for anything
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed, or done before
		lockedNames(t, dir)
	}
	out, err := exec.Command("dynamo-profile-runner", "run", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, []string{"llama-70b", "qwen-small"}, lockedNames(t, dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.Contains(t, []string{cache.LockFile, "llama-70b.yaml", "qwen-small.yaml"}, e.Name(), fmt.Sprint("left behind: ", e.Name()))
	}
}
