package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// open is the store of the job's repository. It keeps no local copies: a hit has
// to be in the store, where others read it.
func (r *runner) open(j job) (*cache.Store, error) {
	return cache.Open(r.ref(j), cache.Options{})
}

// ref is the operator's store, else the one that the repository carries.
func (r *runner) ref(j job) string {
	return cmp.Or(r.opts.store, j.carried)
}

// stored is the result that the lock names for the job's key, else the one that the
// store has for it, else an error that is cache.ErrNotFound.
func stored(ctx context.Context, store *cache.Store, j job) (cache.Digest, *profile.Result, error) {
	if j.found != nil {
		return j.found.digest, j.found.result, nil
	}
	digest, err := locked(j)
	if err != nil {
		return "", nil, err
	}
	if digest != "" {
		res, err := store.Get(ctx, digest)
		if err == nil || !errors.Is(err, cache.ErrNotFound) {
			return digest, res, err
		}
	}
	digest, err = store.Find(ctx, j.key)
	if err != nil {
		return "", nil, err
	}
	res, err := store.Get(ctx, digest)
	if err == nil && res.Inputs.Key() != j.key {
		return "", nil, fmt.Errorf("%s: the tag of key %s names result %s, which is for key %s: %w", store, j.key, digest, res.Inputs.Key(), cache.ErrTampered)
	}
	return digest, res, err
}

// locked is the digest that the lock has for the job's key, or empty. An estimate is none.
func locked(j job) (cache.Digest, error) {
	entry, err := j.entry()
	if err != nil || entry.Key != j.key || entry.Estimate {
		return "", err
	}
	return entry.Result, nil
}

// entry is what the lock says of the request, but for a select, which no run sets; it is
// empty where that is nothing.
func (j job) entry() (cache.LockEntry, error) {
	lock, err := j.lock()
	if err != nil {
		return cache.LockEntry{}, err
	}
	entry, _ := lock.Entry(j.req.Name)
	entry.Select = 0
	return entry, nil
}

// readLock reads the lock of a directory, which messages call shown; one that is not
// there locks nothing.
func readLock(dir, shown string) (*cache.Lock, error) {
	data, err := cache.ReadLock(dir)
	if errors.Is(err, os.ErrNotExist) {
		return &cache.Lock{}, nil
	}
	if err != nil {
		return nil, err
	}
	return cache.ParseLock(shown, data)
}
