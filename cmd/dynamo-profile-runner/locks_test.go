package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func lockEntry(name string) cache.LockEntry {
	digest := "sha256:" + fmt.Sprintf("%064x", len(name))
	return cache.LockEntry{Name: name, Key: profile.Key(digest), Result: cache.Digest(digest),
		Confidence: profile.Simulated, Profiler: "aiconfigurator 0.12.0"}
}

// Entries that come while a lock is written wait for one more write, not for one each.
func TestLocksAreWrittenTogether(t *testing.T) {
	dir := t.TempDir()
	var l locks
	queue, write, first := l.join(dir, lockEntry("a"))
	require.True(t, first)
	again, same, first := l.join(dir, lockEntry("b"))
	require.False(t, first)
	require.Same(t, queue, again)
	require.Same(t, write, same)
	other, _, first := l.join(t.TempDir(), lockEntry("a"))
	require.True(t, first, "another directory has a lock of its own")
	require.NotSame(t, queue, other)

	l.write(t.Context(), dir, queue)
	require.NoError(t, write.err)
	require.Equal(t, []string{"a", "b"}, lockedNames(t, dir))

	_, next, first := l.join(dir, lockEntry("c"))
	require.True(t, first)
	require.NotSame(t, write, next, "what is written takes no more entries")
}

// Every entry is in the lock when its pin returns, and a wrong one fails alone.
func TestLocksPin(t *testing.T) {
	dir := t.TempDir()
	const n = 40
	var l locks
	var pins sync.WaitGroup
	for i := range n {
		pins.Go(func() {
			name := fmt.Sprintf("m%02d", i)
			if err := l.pin(t.Context(), dir, lockEntry(name)); err != nil {
				t.Errorf("pinning %s: %v", name, err)
				return
			}
			if data, err := os.ReadFile(filepath.Join(dir, cache.LockFile)); err != nil {
				t.Error(err)
			} else if lock, err := cache.ParseLock(cache.LockFile, data); err != nil {
				t.Error(err)
			} else if _, ok := lock.Entry(name); !ok {
				t.Errorf("%s is not in the lock", name)
			}
		})
		pins.Go(func() {
			wrong := lockEntry("wrong")
			wrong.Result = "none"
			if err := l.pin(t.Context(), dir, wrong); err == nil {
				t.Error("a wrong entry was pinned")
			}
		})
	}
	pins.Wait()
	require.Len(t, lockedNames(t, dir), n)
}
