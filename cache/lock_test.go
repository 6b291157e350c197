package cache

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

var update = flag.Bool("update", false, "rewrite the wanted parts of testdata")

// TestLockScript runs testdata/*.txtar. An archive holds dynamo.lock, unless there
// is none before, and entries, one a line, that are written into it; then want, the
// lock afterwards, or want.err. Without entries the lock is only read.
func TestLockScript(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runLockScript(t, file) })
	}
}

func runLockScript(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	require.NoError(t, err)
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, LockFile)
	before, exists := files[LockFile]
	if exists {
		require.NoError(t, os.WriteFile(name, []byte(before), 0o644))
	}
	var got error
	if lines, ok := files["entries"]; ok {
		got = UpdateLock(t.Context(), dir, parseEntries(t, lines))
	} else {
		_, got = ParseLock(name, []byte(before))
	}
	after := ""
	if got != nil {
		after = strings.ReplaceAll(got.Error(), dir+"/", "") + "\n"
		require.Equal(t, before, readLockFile(t, name), "a refused lock was changed")
	} else if _, ok := files["entries"]; ok {
		after = readLockFile(t, name)
		require.NoError(t, UpdateLock(t.Context(), dir, parseEntries(t, files["entries"])))
		require.Equal(t, after, readLockFile(t, name), "the second update changed something")
	}
	for _, n := range readDir(t, dir) {
		require.Equal(t, LockFile, n)
	}
	want := "want"
	if got != nil {
		want = "want.err"
	}
	if *update {
		writeWant(t, file, archive, want, after)
		return
	}
	require.Equal(t, files[want], after)
}

func writeWant(t *testing.T, file string, archive *txtar.Archive, want, text string) {
	var kept []txtar.File
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "want") {
			kept = append(kept, f)
		}
	}
	archive.Files = append(kept, txtar.File{Name: want, Data: []byte(text)})
	require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
}

// parseEntries reads lines of name, two letters of key and result, confidence, profiler.
func parseEntries(t *testing.T, lines string) []LockEntry {
	var entries []LockEntry
	for line := range strings.Lines(lines) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 5)
		require.Len(t, f, 5)
		entries = append(entries, LockEntry{f[0], profile.Key("sha256:" + strings.Repeat(f[1], 64)), Digest("sha256:" + strings.Repeat(f[2], 64)), profile.Confidence(f[3]), f[4], false, 0})
	}
	return entries
}

func readLockFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	require.NoError(t, err)
	return string(data)
}

func TestLockEntry(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, UpdateLock(t.Context(), dir, []LockEntry{lockEntry(2), lockEntry(1)}))
	lock, err := ParseLock(LockFile, []byte(readLockFile(t, filepath.Join(dir, LockFile))))
	require.NoError(t, err)
	require.Equal(t, &Lock{Profiles: []LockEntry{lockEntry(1), lockEntry(2)}}, lock)
	got, ok := lock.Entry(lockEntry(2).Name)
	require.True(t, ok)
	require.Equal(t, lockEntry(2), got)
	_, ok = lock.Entry("other")
	require.False(t, ok)
}

func TestLockUnchangedIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, UpdateLock(t.Context(), dir, nil))
	require.Empty(t, readDir(t, dir))
	require.NoError(t, UpdateLock(t.Context(), dir, []LockEntry{lockEntry(1)}))
	before := modTimes(t, dir)
	require.NoError(t, UpdateLock(t.Context(), dir, []LockEntry{lockEntry(1)}))
	require.Equal(t, before, modTimes(t, dir))
}

func TestLockOdd(t *testing.T) {
	header := "apiVersion: dynamo-cmp.github.io/v1\nkind: ProfileLock\nprofiles:"
	for name, c := range map[string]struct{ data, want string }{
		"binary":          {"\x00\x01", "dynamo.lock: is not UTF-8 text"},
		"not UTF-8":       {"a: \xff", "dynamo.lock: is not UTF-8 text"},
		"too large":       {strings.Repeat("#", maxLock+1), "dynamo.lock: is larger than 1048576 bytes"},
		"comments alone":  {"# nothing\n", "dynamo.lock: is empty; delete it, then run dynamo-profile-runner again"},
		"alias bomb":      {header + " [&a [x,x,x], &b [*a,*a,*a], &c [*b,*b,*b]]", "dynamo.lock:3: anchors and aliases are not allowed"},
		"deeply nested":   {header + strings.Repeat(" [", 20000), "dynamo.lock:3: exceeded max depth of 10000"},
		"many list items": {header + strings.Repeat("\n- a", 200000), "dynamo.lock:4: profiles[0]: must be a mapping with the fields name, key, result, confidence, profiler, estimate, select"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseLock(LockFile, []byte(c.data))
			var problems profile.Problems
			require.ErrorAs(t, err, &problems)
			require.Equal(t, c.want, problems[0].String())
			require.LessOrEqual(t, len(problems), maxLockProblems+1) // however long the file is
		})
	}
}

func TestLockManyProcesses(t *testing.T) {
	dir := t.TempDir()
	const writers, each = 4, 8
	exits := make(chan error, writers)
	for w := range writers {
		cmd := startChild(t, "lock", dir, w*each, w*each+each)
		go func() { exits <- cmd.Wait() }()
	}
	for len(exits) < writers {
		if data := readLockFile(t, filepath.Join(dir, LockFile)); data != "" {
			_, err := ParseLock(LockFile, []byte(data))
			require.NoError(t, err)
		}
	}
	for range writers {
		require.NoError(t, <-exits)
	}
	requireLocked(t, dir, writers*each)
}

func TestLockKilledWriters(t *testing.T) {
	dir := t.TempDir()
	for range 10 {
		cmd := startChild(t, "lock", dir, 0, 50)
		// The moment of death is the point of the test, not a wait for something.
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if data := readLockFile(t, filepath.Join(dir, LockFile)); data != "" {
			_, err := ParseLock(LockFile, []byte(data))
			require.NoError(t, err)
		}
	}
	require.Zero(t, child("lock", []string{dir, "0", "50"}))
	requireLocked(t, dir, 50)
}

func requireLocked(t *testing.T, dir string, n int) {
	t.Helper()
	require.Equal(t, []string{LockFile}, readDir(t, dir))
	lock, err := ParseLock(LockFile, []byte(readLockFile(t, filepath.Join(dir, LockFile))))
	require.NoError(t, err)
	require.Len(t, lock.Profiles, n)
	for i, e := range lock.Profiles {
		require.Equal(t, lockEntry(i), e)
	}
}

// Every byte of a valid lock cut off leaves an error or a shorter valid lock, never
// an entry that was not in it.
func TestLockCutShort(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, UpdateLock(t.Context(), dir, []LockEntry{lockEntry(1), lockEntry(2)}))
	data := []byte(readLockFile(t, filepath.Join(dir, LockFile)))
	for i := range data {
		lock, err := ParseLock(LockFile, data[:i])
		if err != nil {
			continue
		}
		for k, e := range lock.Profiles {
			e.Profiler = lockEntry(k + 1).Profiler // a cut inside the last word cannot be told
			require.Equal(t, lockEntry(k+1), e, fmt.Sprintf("cut at %d of %d", i, bytes.Count(data, nil)))
		}
	}
}
