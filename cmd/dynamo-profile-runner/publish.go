package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

// raceFor is for how long others may push in between before a push is given up.
const raceFor = 5 * time.Minute

// endFor is how long a push may take after the runner was asked to stop.
const endFor = 20 * time.Second

// publish pushes the locks of what was answered as one commit. It loses nothing that
// others push meanwhile: where a push comes too late, the same entries are written
// into what is there now.
func (r *remote) publish(ctx context.Context, progress *progress, outcomes []outcome) (err error) {
	if r == nil || r.branch == "" || !slices.ContainsFunc(outcomes, hasResult) {
		return nil
	}
	pushed := progress.stage(job{}, "git push")
	defer func() { pushed("", err) }()
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), endFor)
		defer cancel()
	}
	giveUp := time.Now().Add(raceFor)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 3*time.Second) {
		start, err := r.start(ctx)
		if err != nil {
			return fmt.Errorf("pushing locks: %w", err)
		}
		changes, differing, err := r.attempt(ctx, start, outcomes)
		lost := err != nil && r.lostRace(ctx, start, err)
		if !lost || time.Now().After(giveUp) {
			if err != nil {
				return fmt.Errorf("pushing locks to %s: %w; the results are stored", r.branch, err)
			}
			if len(changes) == 0 && differing == nil {
				progress.note(telemetry.Request{}, "no lock has changed; nothing is pushed")
			} else if len(changes) > 0 {
				progress.note(telemetry.Request{}, fmt.Sprintf("pushed to %s:\n%s", r.branch, strings.TrimRight(message(changes), "\n")))
			}
			return differing
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func hasResult(o outcome) bool { return o.err == nil && o.digest != "" }

// contended are git's words for a branch that another push has hold of.
var contended = regexp.MustCompile(`cannot lock ref|[Uu]nable to create '[^']*\.lock'|failed to update ref|reference already exists`)

// lostRace reports whether an attempt failed because somebody else pushed.
func (r *remote) lostRace(ctx context.Context, start startPoint, failure error) bool {
	var git *gitError
	if !errors.As(failure, &git) || git.command != "push" {
		return false
	}
	now, err := r.ask(ctx)
	return err == nil && now.branch != start.tips.branch || contended.MatchString(git.output)
}

// attempt makes the commit on a start point and pushes it. Entries whose request is
// another one there are left out, and are the second result.
func (r *remote) attempt(ctx context.Context, start startPoint, outcomes []outcome) (changes []change, differing error, err error) {
	err = r.worktree(ctx, start.commit, func(tree gitRepo) error {
		var files []string
		var errs []error
		there := map[string][]job{} // of each directory, before anything is written
		for _, o := range outcomes {
			if !hasResult(o) {
				continue
			}
			dir := o.job.rel
			if _, ok := there[dir]; !ok {
				there[dir] = loadDir(filepath.Join(tree.dir, filepath.FromSlash(dir)))
			}
			c, err := r.write(ctx, tree.dir, there[dir], o)
			if d := (*differs)(nil); errors.As(err, &d) {
				errs = append(errs, err)
				continue
			}
			if err != nil {
				return err
			}
			if c.after == nil {
				continue
			}
			changes = append(changes, c)
			files = append(files, c.files...)
		}
		differing = errors.Join(errs...)
		if len(changes) == 0 {
			return nil
		}
		if _, err := tree.run(ctx, append([]string{"add", "--"}, files...)...); err != nil {
			return err
		}
		if _, err := tree.feed(ctx, message(changes), "commit", "--quiet", "--file=-"); err != nil {
			return err
		}
		_, err := tree.run(ctx, "push", "--quiet", r.url, "HEAD:refs/heads/"+r.branch)
		return err
	})
	return changes, differing, err
}

// differs is the error of a lock entry that does not fit the branch.
type differs struct{ err error }

func (d *differs) Error() string { return d.err.Error() }

// write puts an outcome into a worktree: its lock entry and, where the repository is
// the store, the result. The change is empty where the lock says the same already.
// there are the jobs of its directory in the worktree.
func (r *remote) write(ctx context.Context, root string, there []job, o outcome) (change, error) {
	req, entry := o.job.req, o.entry()
	i := slices.IndexFunc(there, func(j job) bool { return j.problem == nil && j.req.Name == req.Name })
	if i < 0 || there[i].key != entry.Key {
		return change{}, &differs{fmt.Errorf("%s: request %q is another one on %s, and the branch gets no lock for it; to lock it: commit and push the request first", req.File, req.Name, r.branch)}
	}
	old, err := there[i].entry()
	if err != nil || old == entry {
		return change{}, err
	}
	c := change{name: req.Name, after: o.result, files: []string{path.Join(o.job.rel, cache.LockFile)}}
	store, err := cache.Open(r.ref(root, o.job.rel), cache.Options{})
	if err != nil {
		return change{}, err
	}
	if old.Name != "" {
		c.before, _ = store.Get(ctx, old.Result) // one that is gone is not compared
	}
	if r.store == "" {
		if err := r.carry(ctx, store, o); err != nil {
			return change{}, err
		}
		kept, err := filepath.Rel(root, strings.TrimPrefix(store.String(), "oci-layout:"))
		if err != nil {
			return change{}, err
		}
		c.files = append(c.files, filepath.ToSlash(kept))
	}
	return c, cache.UpdateLock(ctx, there[i].dir, []cache.LockEntry{entry})
}

// carry copies the result, and what is attached to it, from the store of the run to
// that of a worktree.
func (r *remote) carry(ctx context.Context, to *cache.Store, o outcome) error {
	from, err := cache.Open(r.ref(o.job.root, o.job.rel), cache.Options{})
	if err != nil {
		return err
	}
	_, err = from.Copy(ctx, to, []cache.Digest{o.digest})
	return err
}

func (r *remote) ref(root, dir string) string {
	if r.store != "" {
		return r.store
	}
	return cache.Embedded(root, dir)
}
