package cache

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every write, fsync, rename, open, mkdir and date of a writer fails in turn, and in
// turn kills it. Nothing that was there is lost, nothing new is named before it is
// whole, and the next writer succeeds. strace makes the faults, in the kernel's place.
func TestDiskEveryCallFails(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace, which makes the faults, is not here")
	}
	for _, role := range []string{"put", "lock"} {
		for _, call := range []string{"write:ENOSPC", "fsync:EIO", "renameat:EROFS", "openat:EMFILE", "mkdirat:ENOSPC", "utimensat:EPERM", "flock:ENOLCK"} {
			for _, kill := range []bool{false, true} {
				name, errno, _ := strings.Cut(call, ":")
				fault := "error=" + errno
				if kill {
					fault = "signal=KILL"
				}
				t.Run(role+"/"+name+"/"+fault, func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					prepare(t, role, dir)
					n, step := 1, 1
					if name == "openat" { // hundreds, most of them of the program's start
						step = 5
					}
					for ; injected(t, role, dir, fmt.Sprintf("%s:%s:when=%d", name, fault, n)); n += step {
						requireKept(t, role, dir, true)
						require.NoError(t, os.RemoveAll(dir))
						prepare(t, role, dir)
					}
					requireKept(t, role, dir, false) // it makes fewer of these calls
					require.True(t, n > 1 || role == "lock" && (name == "mkdirat" || name == "utimensat"), "no fault was met")
				})
			}
		}
	}
}

// A file system that is full at any byte of any file: the kernel ends the write there.
func TestDiskEndsAtAnyByte(t *testing.T) {
	for _, role := range []string{"put", "lock"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			for limit := 0; ; limit += limit/3 + 61 {
				dir := t.TempDir()
				prepare(t, role, dir)
				var said bytes.Buffer
				cmd := childCommand(t, role, target(role, dir), 1, 2)
				cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", childLimit, limit))
				cmd.Stderr = &said
				err := cmd.Run()
				requireKept(t, role, dir, err != nil)
				if err == nil {
					require.Greater(t, limit, 61)
					return
				}
				require.Contains(t, said.String(), "file too large")
			}
		})
	}
}

// target is what a child writes into: a layout, or a directory with a lock.
func target(role, dir string) string {
	if role == "put" {
		return layoutPrefix + dir
	}
	return dir
}

// prepare writes what must not be lost: number 0.
func prepare(t *testing.T, role, dir string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.Zero(t, child(role, []string{target(role, dir), "0", "1"}))
}

// injected runs a writer of number 1 with a fault, and reports whether it met it.
func injected(t *testing.T, role, dir, fault string) bool {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	call, _, _ := strings.Cut(fault, ":")
	cmd := childCommand(t, role, target(role, dir), 1, 2)
	// strace counts the calls of each thread, and the writer keeps to one.
	cmd.Args = append([]string{"strace", "-f", "-o", log, "-e", "trace=" + call, "-e", "inject=" + fault}, cmd.Args...)
	cmd.Path, cmd.Err = exec.LookPath("strace")
	out, err := cmd.CombinedOutput()
	text, readErr := os.ReadFile(log)
	require.NoError(t, readErr)
	met := strings.Contains(string(text), "(INJECTED)") || strings.Contains(string(text), "killed by SIGKILL")
	if !met {
		require.NoError(t, err, string(out))
	}
	return met
}

// requireKept holds that number 0 is there and whole, that number 1 is whole or not
// there, and that a writer of number 1 now succeeds and leaves no more than it should.
func requireKept(t *testing.T, role, dir string, faulted bool) {
	t.Helper()
	if role == "lock" {
		lock, err := ParseLock(LockFile, []byte(readLockFile(t, filepath.Join(dir, LockFile))))
		require.NoError(t, err)
		require.Equal(t, lockEntry(0), lock.Profiles[0])
		require.True(t, faulted || len(lock.Profiles) == 2)
		require.Zero(t, child(role, []string{dir, "1", "2"}))
		requireLocked(t, dir, 2)
		return
	}
	s := open(t, target(role, dir), Options{})
	for i := range 2 {
		d, err := s.Find(t.Context(), sample(i, "1").Inputs.Key())
		if i == 1 && faulted && err != nil {
			require.ErrorIs(t, err, ErrNotFound)
			continue
		}
		require.NoError(t, err)
		files, err := s.Files(t.Context(), d)
		require.NoError(t, err)
		require.Equal(t, bulky(i), files)
	}
	require.Zero(t, child(role, []string{target(role, dir), "1", "2"}))
	requireValid(t, dir, 2)
}
