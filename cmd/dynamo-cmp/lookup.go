package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// resolver finds the result of a request: by the lock, which Git holds, and then
// by digest in the store.
type resolver struct {
	dir   string // of the lock, below the repository root
	lock  *cache.Lock
	file  []byte // of the lock, for positions
	store *cache.Store
	keys  *trust.Keys // whose signatures count; nil where none are asked for
	opts  options
	// requests are those that will be asked for. Those with equal inputs share a result.
	requests []*profile.Request
	read     map[cache.Digest]fetched
	signed   map[cache.Digest]bool // by one of the keys
}

// fetched is what became of reading a result.
type fetched struct {
	result *profile.Result
	err    error
}

func newResolver(tree *render.Tree, src *render.Source, o options) (*resolver, error) {
	ref := o.store
	if ref == "" {
		ref = cache.Embedded(tree.Root(), src.Dir)
	}
	store, err := cache.Open(ref, cache.Options{LocalDir: o.cacheDir})
	if err != nil {
		return nil, &codedError{exitInput, fmt.Errorf("--store: %w", err)}
	}
	return newResolverOf(store, tree, src, o)
}

func newResolverOf(store *cache.Store, tree *render.Tree, src *render.Source, o options) (*resolver, error) {
	lock, file, err := readLock(tree, src.Dir)
	if err != nil {
		return nil, err
	}
	keys, err := o.keys()
	if err != nil {
		return nil, err
	}
	return &resolver{dir: src.Dir, lock: lock, file: file, store: store, keys: keys, opts: o, requests: src.Requests, signed: map[cache.Digest]bool{}}, nil
}

// readLock reads dynamo.lock of a directory; one without it locks nothing.
func readLock(tree *render.Tree, dir string) (*cache.Lock, []byte, error) {
	name := path.Join(dir, cache.LockFile)
	data, err := tree.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &cache.Lock{}, nil, nil
	}
	if err != nil {
		return nil, nil, &codedError{exitInput, err}
	}
	lock, err := cache.ParseLock(name, data)
	return lock, data, err
}

func (r *resolver) answer(ctx context.Context, req *profile.Request) (render.Answer, error) {
	digest, err := r.digest(ctx, req)
	if err != nil && r.opts.onMiss == "naive" && exitCode(err) == exitMiss {
		if r.keys != nil {
			return refuse(req, "is made without profiling, so nobody signed it, which is required here (--trusted-keys)")
		}
		return r.allowed(req, render.Answer{Result: naive(req)})
	}
	if err != nil {
		return render.Answer{}, err
	}
	res, err := r.get(ctx, req, digest)
	if err != nil {
		return render.Answer{}, err
	}
	if err := r.checkSignature(ctx, req, digest); err != nil {
		return render.Answer{}, err
	}
	if err := r.checkInputs(req, digest, res); err != nil {
		return render.Answer{}, &codedError{exitTampered, fmt.Errorf("%s: request %q: %w; to lock the right one: %s", where(req), req.Name, err, r.remedy())}
	}
	ans := render.Answer{Result: res, Digest: string(digest)}
	if entry, _ := r.lock.Entry(req.Name); entry.Select > 0 {
		if ans, err = selected(path.Join(r.dir, cache.LockFile), r.file, entry, res); err != nil {
			return render.Answer{}, err
		}
	}
	return r.allowed(req, ans)
}

// selected is the answer with the configuration that a lock entry selects. Its error
// is a profile.Problems at the entry's select in the file.
func selected(file string, data []byte, e cache.LockEntry, res *profile.Result) (render.Answer, error) {
	chosen, err := res.Select(e.Select)
	if err != nil {
		return render.Answer{}, profile.Problems{{File: file, Line: selectLine(data, e.Name), Path: "select", Message: fmt.Sprintf(
			"request %q: %s; to see them, delete it and: dynamo-cmp explain %s", e.Name, err, path.Dir(file))}}
	}
	return render.Answer{Result: chosen, Digest: string(e.Result), Selected: e.Select}, nil
}

// digest is the result that the lock names for the request as it stands now.
func (r *resolver) digest(ctx context.Context, req *profile.Request) (cache.Digest, error) {
	key := req.Inputs().Key()
	entry, locked := r.lock.Entry(req.Name)
	switch {
	case locked && entry.Key == key:
		return entry.Result, nil
	case locked:
		return "", r.stale(ctx, req, entry)
	case r.opts.resolve == "key":
		return r.find(ctx, req, key)
	}
	return "", &codedError{exitMiss, fmt.Errorf("%s: no profiling result is locked for request %q (key %s); to profile it: %s",
		where(req), req.Name, short(string(key)), r.remedy())}
}

func (r *resolver) find(ctx context.Context, req *profile.Request, key profile.Key) (cache.Digest, error) {
	digest, err := r.store.Find(ctx, key)
	if errors.Is(err, cache.ErrNotFound) {
		return "", &codedError{exitMiss, fmt.Errorf("%s: the store has no result for request %q (key %s); to profile it: %s",
			where(req), req.Name, short(string(key)), r.remedy())}
	}
	if err != nil {
		return "", &codedError{exitStore, fmt.Errorf("%s: request %q: %w", where(req), req.Name, err)}
	}
	return digest, nil
}

func (r *resolver) get(ctx context.Context, req *profile.Request, digest cache.Digest) (*profile.Result, error) {
	if r.read == nil {
		r.read = r.readLocked(ctx)
	}
	f, ok := r.read[digest]
	if !ok {
		f.result, f.err = r.store.Get(ctx, digest)
		r.read[digest] = f
	}
	if f.err == nil {
		return f.result, nil
	}
	err := fmt.Errorf("%s: request %q: %w", where(req), req.Name, f.err)
	switch {
	case errors.Is(err, cache.ErrTampered):
		return nil, &codedError{exitTampered, err}
	case errors.Is(err, cache.ErrNotFound):
		return nil, &codedError{exitMiss, fmt.Errorf("%w; to profile it again: %s", err, r.remedy())}
	}
	return nil, &codedError{exitStore, err}
}

// readLocked reads the results of all requests that have one locked, some at once: in
// a registry each takes two round trips.
func (r *resolver) readLocked(ctx context.Context) map[cache.Digest]fetched {
	const atOnce = 8
	var group errgroup.Group
	group.SetLimit(atOnce)
	var mu sync.Mutex
	read, begun := map[cache.Digest]fetched{}, map[cache.Digest]bool{}
	for _, req := range r.requests {
		entry, locked := r.lock.Entry(req.Name)
		if !locked || entry.Key != req.Inputs().Key() || begun[entry.Result] {
			continue
		}
		begun[entry.Result] = true
		group.Go(func() error {
			res, err := r.store.Get(ctx, entry.Result)
			mu.Lock()
			defer mu.Unlock()
			read[entry.Result] = fetched{res, err}
			return nil
		})
	}
	group.Wait() // failures belong to their requests
	return read
}

// checkSignature refuses a result that no trusted key signed. An answer that was
// made here has no digest, and nobody signed it.
func (r *resolver) checkSignature(ctx context.Context, req *profile.Request, digest cache.Digest) error {
	if r.keys == nil || r.signed[digest] {
		return nil
	}
	_, err := r.keys.Verify(ctx, r.store, digest)
	if err == nil {
		r.signed[digest] = true
		return nil
	}
	err = fmt.Errorf("%s: request %q: %w; to sign it: dynamo-profile-runner sign --signing-key FILE %s", where(req), req.Name, err, r.dir)
	switch {
	case errors.Is(err, cache.ErrTampered):
		return &codedError{exitTampered, err}
	case errors.Is(err, trust.ErrUntrusted):
		return &codedError{exitPolicy, err}
	}
	return &codedError{exitStore, err}
}

// checkInputs holds a result against what led to it: the lock entry that names it,
// or the tag of the key. An estimate answers the same request with searchStrategy
// rapid.
func (r *resolver) checkInputs(req *profile.Request, digest cache.Digest, res *profile.Result) error {
	key := req.Inputs().Key()
	entry, locked := r.lock.Entry(req.Name)
	if locked && entry.Estimate {
		key = req.Estimated().Inputs().Key()
	}
	switch {
	case res.Inputs.Key() != key && locked:
		return fmt.Errorf("result %s is for other inputs than its lock entry says (key %s, not %s)", digest, res.Inputs.Key(), key)
	case res.Inputs.Key() != key:
		return fmt.Errorf("result %s, which the tag of key %s names, is for key %s", digest, key, res.Inputs.Key())
	case locked && entry.Confidence != res.Confidence:
		return fmt.Errorf("result %s is %s, not %s as its lock entry says", digest, res.Confidence, entry.Confidence)
	}
	return nil
}

// stale says which inputs changed since the result was locked.
func (r *resolver) stale(ctx context.Context, req *profile.Request, entry cache.LockEntry) error {
	what := fmt.Sprintf("key %s, now %s", short(string(entry.Key)), short(string(req.Inputs().Key())))
	if res, err := r.store.Get(ctx, entry.Result); err == nil {
		if changes := profile.Changes(res.Inputs, req.Inputs()); len(changes) > 0 {
			what = strings.Join(changes, ", ")
		}
	}
	return &codedError{exitMiss, fmt.Errorf("%s: the locked result of request %q is for other inputs: %s; to profile it again: %s",
		where(req), req.Name, what, r.remedy())}
}

// allowed applies the operator's policy, and the Application's, to an answer.
func (r *resolver) allowed(req *profile.Request, a render.Answer) (render.Answer, error) {
	sla := a.Result.SLA
	switch confidence := string(a.Result.Confidence); {
	case len(r.opts.allow) > 0 && !slices.Contains(r.opts.allow, confidence):
		return refuse(req, fmt.Sprintf("is %s, and only %s may be rendered here (--allow)", confidence, strings.Join(r.opts.allow, ", ")))
	case r.opts.requireSLAMet && !sla.Verified:
		return refuse(req, "was never held against its SLA, which is required here (--require-sla-met)")
	case r.opts.requireSLAMet && !sla.Met:
		return refuse(req, "misses its SLA, which is refused here (--require-sla-met)")
	}
	return a, nil
}

func refuse(req *profile.Request, why string) (render.Answer, error) {
	return render.Answer{}, &codedError{exitPolicy, fmt.Errorf("%s: request %q: its result %s", where(req), req.Name, why)}
}

func (r *resolver) remedy() string {
	return "dynamo-profile-runner run " + r.dir
}

func where(req *profile.Request) string {
	if req.Line == 0 { // it is not as it stands in a file
		return req.File
	}
	return fmt.Sprintf("%s:%d", req.File, req.Line)
}

// short keeps a digest recognisable in a line that people read.
func short(digest string) string {
	return digest[:min(len(digest), len("sha256:")+12)]
}
