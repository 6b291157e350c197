package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// lockRules are about a lock, the DGDRs beside it, and results that the repository
// carries.
func lockRules() []lintRule {
	const run = "dynamo-profile-runner run"
	return []lintRule{
		{id: "lock-missing", severity: severityWarning, about: "A DGDR has a lock entry", remedy: run + " DIR, then commit dynamo.lock"},
		{id: "lock-orphan", severity: severityWarning, about: "A lock entry has a DGDR", remedy: "delete the entry, or rename it with its DGDR"},
		{id: "lock-stale", severity: severityError, about: "A lock entry has the key of its DGDR", remedy: run + " DIR, then commit dynamo.lock"},
		{id: "lock-naive", severity: severityWarning, about: "A locked result was predicted or measured", remedy: "take GPUs and a model that AIConfigurator covers, or searchStrategy: thorough"},
		{id: "lock-estimate", severity: severityWarning, about: "A request for a measurement has a measured result", remedy: run + " DIR without --estimate"},
		{id: "result-missing", severity: severityWarning, about: "The repository's store has the locked results", remedy: "commit .dynamo-cmp, or " + run + " DIR"},
		{id: "result-tampered", severity: severityError, about: "A stored result has the bytes that its digest names", remedy: "take the store from Git again: git checkout .dynamo-cmp"},
		{id: "result-mismatch", severity: severityError, about: "A result has the key and the confidence of its lock entry", remedy: run + " DIR, then commit dynamo.lock"},
		{id: "sla-missed", severity: severityWarning, about: "A locked result meets the SLA of its DGDR", remedy: "allow more latency or more GPUs; dynamo-cmp explain DIR says what binds"},
		{id: "result-warning", severity: severityWarning, about: "The profiler had nothing to warn of", remedy: "do what the message says"},
	}
}

// lockOf reads the lock of a directory; false where it has none that can be read.
func (l *linter) lockOf(dir string) (*cache.Lock, []byte, bool) {
	name := path.Join(dir, cache.LockFile)
	data, err := l.tree.Read(name)
	if err != nil {
		return &cache.Lock{}, nil, errors.Is(err, os.ErrNotExist)
	}
	lock, err := cache.ParseLock(name, data)
	if err != nil {
		l.problems(err, name, "lock")
		return nil, nil, false
	}
	return lock, data, true
}

// locked holds the lock of a directory against its DGDRs.
func (l *linter) locked(ctx context.Context, src *render.Source, complete bool) {
	lock, data, ok := l.lockOf(src.Dir)
	if !ok {
		return
	}
	lines := entryLines(data)
	file := path.Join(src.Dir, cache.LockFile)
	at := func(rule, name, format string, args ...any) {
		l.broken(rule, profile.Problem{File: file, Line: lines[name], Message: fmt.Sprintf("request %q: ", name) + fmt.Sprintf(format, args...)})
	}
	for _, e := range lock.Profiles {
		if complete && !slices.ContainsFunc(src.Requests, func(r *profile.Request) bool { return r.Name == e.Name }) {
			at("lock-orphan", e.Name, "no DGDR of the directory has this name")
		}
	}
	store := l.embedded(src.Dir)
	answers := map[string]render.Answer{}
	for _, req := range src.Requests {
		e, ok := lock.Entry(req.Name)
		switch {
		case !ok:
			l.broken("lock-missing", req.Problem("", fmt.Sprintf("no profiling result is locked for request %q", req.Name)))
			continue
		case e.Key != req.Inputs().Key():
			at("lock-stale", e.Name, "its key is %s, and that of the DGDR %s", short(string(e.Key)), short(string(req.Inputs().Key())))
			continue
		}
		if e.Confidence == profile.Naive {
			at("lock-naive", e.Name, "the locked result is naive: it fits in memory, and nothing more is known")
		}
		if e.Estimate {
			at("lock-estimate", e.Name, "the locked result is an estimate until a measurement lands")
		}
		if res := l.result(ctx, store, req, e, at); res != nil {
			l.answer(file, data, e, res, answers, at)
		}
	}
	if complete && len(src.Requests) > 0 && len(answers) == len(src.Requests) {
		l.render(ctx, src, answers)
	}
}

// answer notes what an entry renders with.
func (l *linter) answer(file string, data []byte, e cache.LockEntry, res *profile.Result, answers map[string]render.Answer, at atField) {
	ans, err := render.Answer{Result: res, Digest: string(e.Result)}, error(nil)
	if e.Select > 0 {
		ans, err = selected(file, data, e, res)
	}
	if err != nil {
		l.problems(err, file, "lock")
		return
	}
	if sla := ans.Result.SLA; sla.Verified && !sla.Met {
		at("sla-missed", e.Name, "what is locked misses the SLA of its DGDR")
	}
	answers[e.Name] = ans
}

// embedded is the store that the repository carries, nil without one.
func (l *linter) embedded(dir string) *cache.Store {
	ref := cache.Embedded(l.tree.Root(), dir)
	if _, err := os.Stat(strings.TrimPrefix(ref, "oci-layout:")); err != nil {
		return nil
	}
	store, err := cache.Open(ref, cache.Options{})
	if err != nil {
		return nil
	}
	return store
}

// result holds the result of an entry against it, where the repository carries it.
func (l *linter) result(ctx context.Context, store *cache.Store, req *profile.Request, e cache.LockEntry, at atField) *profile.Result {
	if store == nil {
		return nil
	}
	key := e.Key
	if e.Estimate {
		key = req.Estimated().Inputs().Key()
	}
	res, err := store.Get(ctx, e.Result)
	switch {
	case errors.Is(err, cache.ErrNotFound):
		at("result-missing", e.Name, "the repository's store does not have result %s", short(string(e.Result)))
	case err != nil:
		at("result-tampered", e.Name, "%s", err)
	case res.Inputs.Key() != key:
		at("result-mismatch", e.Name, "result %s answers key %s", short(string(e.Result)), short(string(res.Inputs.Key())))
	case res.Confidence != e.Confidence:
		at("result-mismatch", e.Name, "result %s is %s, and the entry says %s", short(string(e.Result)), res.Confidence, e.Confidence)
	default:
		return res
	}
	return nil
}

// render finds what only the result brings to light.
func (l *linter) render(ctx context.Context, src *render.Source, answers map[string]render.Answer) {
	known := len(src.Warnings)
	_, err := render.Build(ctx, src, func(_ context.Context, req *profile.Request) (render.Answer, error) {
		return answers[req.Name], nil
	})
	l.problems(err, src.Dir, "render")
	for _, w := range src.Warnings[known:] {
		l.warning(w, "result-warning")
	}
}
