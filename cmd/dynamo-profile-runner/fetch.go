package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// startPoint is what a commit of locks is made on.
type startPoint struct {
	commit string
	tips   tips
}

// ask returns where the branches of the remote are now.
func (r *remote) ask(ctx context.Context) (tips, error) {
	refs, err := r.git.run(ctx, "ls-remote", r.url, "refs/heads/"+r.base, "refs/heads/"+r.branch)
	if err != nil {
		return tips{}, fmt.Errorf("asking the remote for its branches: %w", err)
	}
	var t tips
	for line := range strings.Lines(refs) {
		commit, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch strings.TrimPrefix(ref, "refs/heads/") {
		case r.branch: // which may be the base
			t.branch = commit
		case r.base:
			t.base = commit
		}
	}
	if r.branch == r.base {
		t.base = t.branch
	}
	if t.base == "" {
		return tips{}, &usageError{fmt.Errorf("the remote has no branch %s; to name the one that the requests are on: --branch", r.base)}
	}
	return t, nil
}

// start fetches the branches and returns what to commit on: the base where the branch
// is new or merged, else the branch with the base merged into it. Nothing that is on
// the branch is ever lost.
func (r *remote) start(ctx context.Context) (startPoint, error) {
	t, err := r.ask(ctx)
	if err != nil {
		return startPoint{}, err
	}
	if err := r.fetch(ctx, t, r.shallow); err != nil {
		return startPoint{}, err
	}
	s := startPoint{commit: t.base, tips: t}
	if t.branch == "" || t.branch == t.base {
		return s, nil
	}
	// Which contains which is told by history, which a shallow clone has not.
	shallow, err := r.git.run(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return startPoint{}, err
	}
	if shallow == "true" {
		if err := r.fetch(ctx, t, false); err != nil {
			return startPoint{}, err
		}
	}
	merged, err := r.git.yes(ctx, "merge-base", "--is-ancestor", t.branch, t.base)
	if err != nil || merged {
		return s, err
	}
	s.commit = t.branch
	current, err := r.git.yes(ctx, "merge-base", "--is-ancestor", t.base, t.branch)
	if err != nil || current {
		return s, err
	}
	s.commit, err = r.merge(ctx, t)
	return s, err
}

// fetch gets the commits of the tips, and no other history when shallow.
func (r *remote) fetch(ctx context.Context, t tips, shallow bool) error {
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head"}
	if shallow {
		args = append(args, "--depth=1")
	} else if deep, err := r.git.run(ctx, "rev-parse", "--is-shallow-repository"); err == nil && deep == "true" {
		args = append(args, "--unshallow")
	}
	args = append(args, r.url, "+refs/heads/"+r.base+":"+r.refs+"/base")
	if t.branch != "" && r.branch != r.base {
		args = append(args, "+refs/heads/"+r.branch+":"+r.refs+"/branch")
	}
	if _, err := r.git.run(ctx, args...); err != nil {
		return fmt.Errorf("fetching from the remote: %w", err)
	}
	return nil
}

// merge brings the branch up to date with the base. Where both changed a lock, that of
// the base counts: the run answers its requests anew.
func (r *remote) merge(ctx context.Context, t tips) (commit string, err error) {
	err = r.worktree(ctx, t.branch, func(tree gitRepo) error {
		message := fmt.Sprintf("Merge %s into %s", r.base, r.branch)
		if _, err := tree.run(ctx, "merge", "--quiet", "--strategy-option=theirs", "-m", message, t.base); err != nil {
			return fmt.Errorf("merging %s into %s: %w; to start the branch anew: git push origin --delete %[2]s", r.base, r.branch, err)
		}
		commit, err = tree.run(ctx, "rev-parse", "HEAD")
		return err
	})
	return commit, err
}

// worktree runs a function in a temporary worktree with a commit checked out, so that
// neither the worktree nor the index of the user's checkout is touched.
func (r *remote) worktree(ctx context.Context, commit string, work func(tree gitRepo) error) error {
	dir, err := os.MkdirTemp("", "dynamo-worktree-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	if _, err := r.git.run(ctx, "worktree", "add", "--quiet", "--detach", tree, commit); err != nil {
		return err
	}
	defer func() { _, _ = r.git.run(context.WithoutCancel(ctx), "worktree", "remove", "--force", tree) }()
	return work(r.git.in(tree))
}
