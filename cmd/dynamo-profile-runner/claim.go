package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// claim keeps other runners on this machine from simulating the same key for the same
// store until it is released. It reports whether it had to wait for one, whose result
// may be in the store by now. Runners on other machines are kept apart by --shard, and
// those that measure by the Lease of the key.
func (r *runner) claim(ctx context.Context, j job) (release func(), waited bool, err error) {
	in := j.req.Inputs()
	caches, err := os.UserCacheDir()
	if err != nil || in.Strategy == profile.StrategyThorough {
		return func() {}, false, nil // no home: a container of its own
	}
	dir := filepath.Join(caches, "dynamo-cmp", "claims")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return func() {}, false, nil // read-only: likewise
	}
	name := sha256.Sum256([]byte(r.ref(j) + "\n" + string(in.Key())))
	lock := flock.New(filepath.Join(dir, fmt.Sprintf("%x", name[:16])))
	held, err := lock.TryLock()
	if err == nil && !held {
		waited = true
		r.progress.step(in, "waits for another runner, which profiles it")
		_, err = lock.TryLockContext(ctx, 100*time.Millisecond)
	}
	if err != nil {
		return nil, false, fmt.Errorf("waiting for another runner: %w", err)
	}
	return func() { _ = lock.Close() }, waited, nil
}
