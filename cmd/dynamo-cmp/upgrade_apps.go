package main

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/review"
)

// upgrader holds the apps of an upgrade.
type upgrader struct {
	opts  *upgradeOptions
	base  *side
	edits map[string][]edit // by file
	apps  map[string]*upgradeApp
}

// upgradeApp is a directory before and after.
type upgradeApp struct {
	was, now review.App
	src      *render.Source // nil where it cannot be read
	resolver *resolver
	answers  map[string]render.Answer // by the names of requests
	missing  map[string]error         // likewise
	requests []upgraded
	unlocked bool // nothing is wrong but that a request was never profiled
}

// before renders an app as it is, and finds the edits of its files. The error is one
// of the files: what does not render is shown.
func (f *upgrader) before(ctx context.Context, dir string) error {
	a := &upgradeApp{was: review.App{Dir: dir, Files: f.base.inputs(dir).files}, answers: map[string]render.Answer{}, missing: map[string]error{}}
	f.apps[dir] = a
	if f.opts.to != "" {
		if err := f.find(slices.Sorted(maps.Keys(a.was.Files))); err != nil {
			return err
		}
	}
	a.src, a.was.Err = f.base.load(dir)
	if a.was.Err == nil {
		a.resolver, a.was.Err = f.base.resolver(a.src)
	}
	if a.was.Err != nil {
		a.src = nil
		return nil
	}
	a.was.Err = renderInto(ctx, &a.was, a.src, a.resolver.lock, func(ctx context.Context, req *profile.Request) (render.Answer, error) {
		ans, err := a.resolver.answer(ctx, req)
		a.answers[req.Name], a.missing[req.Name] = ans, err
		return ans, err
	})
	outcomes := map[string]bool{}
	for _, req := range a.src.Requests {
		u := a.standing(req, f.opts.aiconfigurator)
		outcomes[u.Outcome] = true
		a.requests = append(a.requests, u)
	}
	a.unlocked = outcomes[upgradeUnlocked] && !outcomes[upgradeFailed]
	if a.was.Err != nil && !outcomes[upgradeUnlocked] && !outcomes[upgradeFailed] {
		a.all(upgradeFailed, a.was.Err)
	}
	return nil
}

// all gives the requests of an app, which renders as a whole, one outcome.
func (a *upgradeApp) all(outcome string, err error) {
	for i := range a.requests {
		a.requests[i].Outcome, a.requests[i].Reasons = outcome, strings.Split(err.Error(), "\n")
	}
}

// standing is a request before the upgrade.
func (a *upgradeApp) standing(req *profile.Request, aiconfigurator string) upgraded {
	in := req.Inputs()
	u := upgraded{Dir: a.was.Dir, Request: req.Name, Dynamo: render.DynamoVersion(req), Outcome: upgradeValid,
		Reasons: []string{}, Measured: in.Strategy == profile.StrategyThorough, key: in.Key()}
	ans, err := a.answers[req.Name], a.missing[req.Name]
	if err != nil {
		u.Outcome, u.Reasons = upgradeFailed, strings.Split(err.Error(), "\n")
		if _, locked := a.resolver.lock.Entry(req.Name); !locked && exitCode(err) == exitMiss {
			u.Outcome, u.Reasons = upgradeUnlocked, []string{}
		}
		return u
	}
	from := ans.Result.Provenance
	u.Result, u.Profiler = cache.Digest(ans.Digest), from.Name()
	name, version := from.Tool, from.ToolVersion
	if ans.Result.Confidence == profile.Measured { // it chose what to measure
		name, version, _ = strings.Cut(from.Enumerator, " ")
	}
	if aiconfigurator != "" && name == "aiconfigurator" && version != aiconfigurator {
		u.Outcome = upgradeStale
		u.Reasons = append(u.Reasons, fmt.Sprintf("aiconfigurator %s, then %s", version, aiconfigurator))
	}
	return u
}

// find adds the edits of files that were not seen before.
func (f *upgrader) find(files []string) error {
	for _, file := range files {
		if _, seen := f.edits[file]; seen || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(file)) && path.Base(file) != "Kustomization" {
			continue
		}
		data, err := f.base.tree.Read(file)
		if err != nil {
			continue // rendering says why
		}
		if _, err := profile.Documents(file, data); err != nil {
			continue // also what would take long to parse
		}
		if f.edits[file], err = moved(data, f.opts.to); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// moved is the side after the upgrade.
func (f *upgrader) moved() (*side, error) {
	after, err := f.edited()
	if err != nil || f.opts.to == "" {
		return after, err
	}
	// What is left has its version from no file: by default.
	for _, dir := range slices.Sorted(maps.Keys(f.apps)) {
		src, err := after.load(dir)
		if err != nil {
			continue
		}
		for _, req := range src.Requests {
			data, err := after.tree.Read(req.File)
			if is, _, _ := strings.Cut(render.DynamoVersion(req), "-"); is == f.opts.to || err != nil {
				continue
			}
			name, _ := splitImage(req.Spec.Image)
			if e, ok := named(data, req.Line, name+":"+f.opts.to); ok && !slices.Contains(f.edits[req.File], e) {
				f.edits[req.File] = append(f.edits[req.File], e)
			}
		}
	}
	return f.edited()
}

// patch is what git apply makes of the files that differ.
func (f *upgrader) patch(after *side) (files []string, patch string, err error) {
	var b strings.Builder
	files = []string{}
	for _, file := range slices.Sorted(maps.Keys(f.edits)) {
		if len(f.edits[file]) == 0 {
			continue
		}
		was, err := f.base.tree.Read(file)
		if err != nil {
			return nil, "", err
		}
		now, err := after.tree.Read(file)
		if err != nil {
			return nil, "", err
		}
		files = append(files, file)
		b.Write(diff.Diff("a/"+file, was, "b/"+file, now))
	}
	return files, b.String(), nil
}

// edited is the worktree with the edits.
func (f *upgrader) edited() (*side, error) {
	files := &editedFiles{f.base.tree.Files(), map[string][]byte{}}
	for file, edits := range f.edits {
		if len(edits) == 0 {
			continue
		}
		data, err := f.base.tree.Read(file)
		if err != nil {
			return nil, err
		}
		if files.data[file], err = applied(data, edits); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	name := "worktree"
	if f.opts.to != "" {
		name = "Dynamo " + f.opts.to
	}
	return &side{name: review.Revision{Name: name}, tree: render.NewTree(files, f.base.tree.Root()), opts: f.opts.options, blobs: map[string]string{}}, nil
}

// after renders an app with the versions moved and the results that it had.
func (f *upgrader) after(ctx context.Context, s *side, a *upgradeApp) error {
	a.now = review.App{Dir: a.was.Dir, Files: map[string]string{}}
	for file := range a.was.Files {
		a.now.Files[file] = s.hash(file)
	}
	switch {
	case a.src == nil: // what is wrong, the side before says
		return nil
	case f.opts.to == "":
		a.now = a.was
		return nil
	}
	src, err := s.load(a.was.Dir)
	if err == nil {
		err = f.check(src)
	}
	if err != nil {
		a.refuse(err)
		return nil
	}
	for i, req := range src.Requests { // in the order that they had
		u := &a.requests[i]
		if in := req.Inputs(); in.Key() != u.key && u.Outcome != upgradeUnlocked && u.Outcome != upgradeFailed {
			u.Outcome = upgradeProfile
			u.Reasons = append(profile.Changes(a.src.Requests[i].Inputs(), in), u.Reasons...)
		}
	}
	if a.unlocked || a.was.Err != nil {
		return nil
	}
	err = renderInto(ctx, &a.now, src, a.resolver.lock, func(_ context.Context, req *profile.Request) (render.Answer, error) {
		return a.answers[req.Name], nil
	})
	if err != nil {
		a.refuse(err)
	}
	return ctx.Err()
}

// refuse says why an app has no other side.
func (a *upgradeApp) refuse(err error) {
	a.now.Err = err
	if a.unlocked {
		a.unlocked, a.was.Err = false, nil
	}
	a.all(upgradeRefused, err)
}

// check holds that every request has the version: it may be said where no edit is.
func (f *upgrader) check(src *render.Source) error {
	var problems profile.Problems
	for _, req := range src.Requests {
		if is, _, _ := strings.Cut(render.DynamoVersion(req), "-"); is != f.opts.to {
			problems = append(problems, req.Problem("spec.image", fmt.Sprintf("is Dynamo %s, said where upgrade does not look; change it by hand", is)))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}
