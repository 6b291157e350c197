package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// resultRef names a result on the command line: a digest, the beginning of one, or
// a request whose lock is in dir or below it.
type resultRef struct {
	store string // empty for the one that the repository carries
	dir   string
}

// named is a result that was found.
type named struct {
	store  *cache.Store
	digest cache.Digest
	result *profile.Result
	entry  cache.LockEntry // of the request that named it, and the directory of its lock
	dir    string
}

var digestStart = regexp.MustCompile(`^(sha256:)?[0-9a-f]{6,64}$`)

func (r resultRef) resolve(ctx context.Context, arg string) (*named, error) {
	n, err := r.find(ctx, arg)
	if err != nil {
		return nil, err
	}
	if n.result, err = n.store.Get(ctx, n.digest); err != nil {
		return nil, noStore(err)
	}
	return n, nil
}

func (r resultRef) find(ctx context.Context, arg string) (*named, error) {
	n, err := r.locked(arg)
	if err != nil || n != nil {
		return n, err
	}
	if !digestStart.MatchString(arg) {
		return nil, &usageError{fmt.Errorf("%s: no %s here or below locks a request %q; to look elsewhere: --dir DIR", r.dir, cache.LockFile, arg)}
	}
	store, err := openStore(r.store, r.dir)
	if err != nil {
		return nil, err
	}
	if d, err := cache.ParseDigest(arg); err == nil {
		return &named{store: store, digest: d}, nil
	}
	all, err := store.Artifacts(ctx)
	if err != nil {
		return nil, noStore(err)
	}
	var found []cache.Digest
	for _, a := range all {
		if a.IsResult() && strings.HasPrefix(string(a.Digest), "sha256:"+strings.TrimPrefix(arg, "sha256:")) {
			found = append(found, a.Digest)
		}
	}
	if len(found) != 1 {
		return nil, &usageError{fmt.Errorf("%s: %d results begin with %q; to see all: dynamo-profile-runner ls", store, len(found), arg)}
	}
	return &named{store: store, digest: found[0]}, nil
}

// locked finds the request of that name; nil when no lock has it.
func (r resultRef) locked(name string) (*named, error) {
	digests := map[cache.Digest]*named{}
	err := filepath.WalkDir(r.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != r.dir && passedOver(d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || d.Name() != cache.LockFile {
			return nil
		}
		data, err := cache.ReadLock(filepath.Dir(p))
		if err != nil {
			return err
		}
		lock, err := cache.ParseLock(p, data)
		if err != nil {
			return err
		}
		if e, ok := lock.Entry(name); ok && digests[e.Result] == nil {
			digests[e.Result] = &named{digest: e.Result, entry: e, dir: filepath.Dir(p)}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &usageError{fmt.Errorf("--dir: %w", err)}
	}
	if err != nil || len(digests) == 0 {
		return nil, err
	}
	if len(digests) > 1 {
		var dirs []string
		for _, n := range digests {
			dirs = append(dirs, n.dir)
		}
		slices.Sort(dirs)
		return nil, &usageError{fmt.Errorf("request %q is locked in %s; to name one: --dir DIR", name, strings.Join(dirs, ", "))}
	}
	for _, n := range digests {
		n.store, err = openStore(r.store, n.dir)
		return n, err
	}
	return nil, nil
}
