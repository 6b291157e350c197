package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/review"
	"github.com/dynamo-cmp/dynamo-cmp/revision"
)

// side is one revision of the repository.
type side struct {
	name  review.Revision
	tree  *render.Tree
	files *revision.Files // nil for the worktree
	opts  options

	blobs    map[string]string // hashes of the files of results, by their paths
	worktree *side             // nil for itself
}

func (s *side) close() error {
	if s.worktree != nil {
		return s.worktree.close()
	}
	return s.tree.Close()
}

// review compares the two sides below a path, or the whole repository.
func (o *diffOptions) review(ctx context.Context, at string, given bool, prices *review.Prices) (*review.Review, error) {
	repo, err := revision.Open(at)
	if err != nil {
		return nil, err
	}
	below := "."
	if given {
		abs, err := filepath.Abs(at)
		if err != nil {
			return nil, err
		}
		if below, err = filepath.Rel(repo.Root(), abs); err != nil {
			return nil, err
		}
	}
	base, head, err := o.sides(repo)
	if err != nil {
		return nil, err
	}
	defer head.close()
	r := &review.Review{Base: base.name, Head: head.name, Violations: []review.Violation{}}
	if prices != nil {
		r.Currency = prices.Currency
	}
	was, now, unchanged, err := changed(ctx, base, head, filepath.ToSlash(below))
	if err != nil {
		return nil, err
	}
	r.Unchanged, r.Apps = unchanged, review.Compare(was, now, prices)
	r.Apps = slices.DeleteFunc(r.Apps, func(c review.Change) bool {
		same := c.Status == review.Same && len(c.Files) == 0
		if same { // the store alone moved
			r.Unchanged++
		}
		return same
	})
	return r, nil
}

// sides opens both; the worktree is also where a commit without a store of its own has
// its results from.
func (o *diffOptions) sides(repo *revision.Repository) (base, head *side, err error) {
	from, err := repo.Commit(cmp.Or(o.head, "HEAD"))
	if err != nil {
		return nil, nil, fmt.Errorf("--head: %w", err)
	}
	to, name := from, o.base
	switch {
	case name != "":
		if to, err = repo.Commit(name); err != nil {
			return nil, nil, fmt.Errorf("--base: %w", err)
		}
	default:
		if to, err = repo.Base(from); err != nil {
			return nil, nil, fmt.Errorf("%w; or to compare with another: --base REV", err)
		}
		name = to.Hash
	}
	tree, _, err := render.OpenTree(repo.Root())
	if err != nil {
		return nil, nil, err
	}
	worktree := &side{name: review.Revision{Name: "worktree"}, tree: tree, opts: o.options, blobs: map[string]string{}}
	commit := func(c *revision.Commit, name string) *side {
		files := c.Files()
		return &side{
			name: review.Revision{Name: name, Commit: c.Hash}, tree: render.NewTree(files, repo.Root()), files: files,
			opts: o.options, blobs: map[string]string{}, worktree: worktree,
		}
	}
	head = worktree
	if o.head != "" {
		head = commit(from, o.head)
	}
	return commit(to, name), head, nil
}

// changed renders both sides of the apps whose files differ, and counts the others.
func changed(ctx context.Context, base, head *side, below string) (was, now []review.App, unchanged int, err error) {
	b, err := base.apps(below)
	if err != nil {
		return nil, nil, 0, err
	}
	h, err := head.apps(below)
	if err != nil {
		return nil, nil, 0, err
	}
	if len(b) == 0 && len(h) == 0 {
		return nil, nil, 0, fmt.Errorf("%s: no DynamoGraphDeploymentRequest here or below, in either revision", below)
	}
	dirs := slices.Concat(b, h)
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if err := ctx.Err(); err != nil {
			return nil, nil, 0, fmt.Errorf("comparing: %w; to allow more time: --timeout", err)
		}
		bf, hf := base.inputs(dir), head.inputs(dir)
		if sameFiles(bf, hf) && !base.opts.byStore() {
			unchanged++
			continue
		}
		if app, ok := base.render(ctx, dir, bf); ok {
			was = append(was, app)
		}
		if app, ok := head.render(ctx, dir, hf); ok {
			now = append(now, app)
		}
	}
	return was, now, unchanged, nil
}

// apps are the directories of a side below a path, none where that does not exist.
func (s *side) apps(below string) ([]string, error) {
	apps, err := s.tree.Apps(below, cache.LockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: searching %w", s.name, err)
	}
	var dirs []string
	for _, a := range apps {
		dirs = append(dirs, a.Dir)
	}
	return dirs, nil
}

// render is a directory of the side; ok is false where it is not there.
func (s *side) render(ctx context.Context, dir string, in inputs) (app review.App, ok bool) {
	if len(in.files) == 0 {
		return app, false
	}
	app = review.App{Dir: dir, Files: in.files}
	app.Err = s.fill(ctx, &app)
	return app, true
}

func (s *side) fill(ctx context.Context, app *review.App) error {
	src, err := s.load(app.Dir)
	if err != nil {
		return err
	}
	r, err := s.resolver(src)
	if err != nil {
		return err
	}
	return renderInto(ctx, app, src, r.lock, r.answer)
}

func (s *side) load(dir string) (*render.Source, error) {
	src, err := s.tree.Load(dir)
	if err == nil {
		src.DGDVersion = s.opts.dgdVersion
	}
	return src, err
}

// renderInto renders a directory into the app.
func renderInto(ctx context.Context, app *review.App, src *render.Source, lock *cache.Lock, lookup render.Lookup) error {
	answers := map[*profile.Request]render.Answer{}
	var err error
	app.Stream, err = render.Build(ctx, src, func(ctx context.Context, req *profile.Request) (render.Answer, error) {
		ans, err := lookup(ctx, req)
		answers[req] = ans
		return ans, err
	})
	if err != nil {
		return err
	}
	for _, req := range src.Requests {
		entry, _ := lock.Entry(req.Name)
		app.Requests = append(app.Requests, review.Request{Request: req, Result: answers[req].Result, Digest: answers[req].Digest, Estimate: entry.Estimate})
	}
	return nil
}

// resolver finds results in the store that a commit carries, before that of the
// worktree. These are as near as local copies, which would hide that a result is gone.
func (s *side) resolver(src *render.Source) (*resolver, error) {
	o := s.opts
	if o.store == "" {
		o.cacheDir = ""
	}
	if s.files != nil && o.store == "" {
		if store, ok := cache.OpenEmbedded(s.files, s.tree.Root(), src.Dir, cache.Options{}); ok {
			return newResolverOf(store, s.tree, src, o)
		}
	}
	return newResolver(s.tree, src, o)
}
