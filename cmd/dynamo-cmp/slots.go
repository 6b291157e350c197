package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
)

// takeSlot waits until fewer than n processes hold a slot of dir, and takes one.
// Argo CD starts a process for every application that it refreshes, all of them at
// once after a restart. A slot is a file lock: it ends with its process, however
// that ends. Where dir cannot be written there are no slots, and nobody waits.
func takeSlot(ctx context.Context, dir string, n int) (release func(), err error) {
	free := func() {}
	if n <= 0 || dir == "" || os.MkdirAll(dir, 0o755) != nil {
		return free, nil
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		for i := range n {
			// Readable to all, so that processes of another user share the bound.
			slot := flock.New(filepath.Join(dir, strconv.Itoa(i)), flock.SetPermissions(0o644))
			locked, err := slot.TryLock()
			if err != nil {
				return free, nil // a file system without locks, or one that is read-only
			}
			if locked {
				return func() { _ = slot.Unlock() }, nil
			}
			_ = slot.Close()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting while %d other renders run: %w; to allow more at once: %s", n, ctx.Err(), variable("max-concurrent"))
		case <-time.After(pause):
		}
	}
}
