package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// reach is what the locks of a repository name.
//
// The git command reads the repository: it knows every kind of ref, worktree, clone
// and object store, and one that a reader misses would cost a result.
type reach struct {
	repo    string
	git     gitRepo
	results map[cache.Digest]bool
	locks   int // distinct contents of lock files
}

// findReach collects the digests in every dynamo.lock of every branch, remote
// branch, tag and other ref, in the checkout and its linked worktrees, and in what
// the history since then changed, so that a rollback still renders. It reads digests
// and not locks: one with a merge conflict keeps what both sides name. Without
// offline it also makes sure that no branch or tag of a remote is missing here.
func findReach(ctx context.Context, repo string, since time.Time, offline bool) (*reach, error) {
	r := &reach{repo: repo, git: openGit(repo, ""), results: map[cache.Digest]bool{}}
	out, err := r.git.run(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return nil, fmt.Errorf("%s: finding the git repository: %w", repo, err)
	}
	if strings.TrimSpace(out) == "true" {
		return nil, fmt.Errorf("%s: is a shallow clone, which hides locks that may be in use; to complete it: git -C %s fetch --unshallow", repo, repo)
	}
	var remote []string
	if !offline {
		if remote, err = r.remoteHeads(ctx); err != nil {
			return nil, err
		}
	}
	blobs, err := r.lockBlobs(ctx, remote, since)
	if err != nil {
		return nil, err
	}
	if err := r.read(ctx, blobs); err != nil {
		return nil, err
	}
	if err := r.worktrees(ctx); err != nil {
		return nil, err
	}
	if r.locks == 0 {
		return nil, fmt.Errorf("%s: no branch, no tag and no checkout has a %s, so nothing says what is in use; to name the repositories that use the store: --repo DIR", repo, cache.LockFile)
	}
	return r, nil
}

// remoteHeads are the commits of the branches and tags of every remote, all of
// which are here.
func (r *reach) remoteHeads(ctx context.Context) ([]string, error) {
	out, err := r.git.run(ctx, "remote")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.repo, err)
	}
	var heads []string
	for _, remote := range strings.Fields(out) {
		out, err := r.git.run(ctx, "ls-remote", "--heads", "--tags", remote)
		if err != nil {
			return nil, fmt.Errorf("%s: asking remote %s for its branches: %w; to go by what is here: --offline", r.repo, remote, err)
		}
		for line := range strings.Lines(out) {
			hash, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if _, err := r.git.run(ctx, "cat-file", "-e", hash); err != nil {
				return nil, fmt.Errorf("%s: %s of remote %s is not here, and may hold locks; to get it: git -C %s fetch %s '+refs/heads/*:refs/remotes/%s/*' --tags",
					r.repo, ref, remote, r.repo, remote, remote)
			}
			heads = append(heads, hash)
		}
	}
	return heads, nil
}

// lockBlobs are the lock files at every ref, and those that a commit since then
// changed: as they were and as they became.
func (r *reach) lockBlobs(ctx context.Context, remote []string, since time.Time) ([]string, error) {
	more := ""
	if len(remote) > 0 {
		more = strings.Join(remote, "\n") + "\n"
	}
	trees, err := r.git.feed(ctx, more, "log", "--no-walk=unsorted", "--all", "--ignore-missing", "--stdin", "--format=%T")
	if err != nil {
		return nil, fmt.Errorf("%s: reading refs: %w", r.repo, err)
	}
	blobs := map[string]bool{}
	seen := map[string]bool{}
	for _, tree := range strings.Fields(trees) {
		if seen[tree] {
			continue
		}
		seen[tree] = true
		out, err := r.git.run(ctx, "ls-tree", "-r", "-z", "--full-tree", tree)
		if err != nil {
			return nil, fmt.Errorf("%s: reading tree %s: %w", r.repo, tree, err)
		}
		for entry := range strings.SplitSeq(out, "\x00") {
			facts, name, _ := strings.Cut(entry, "\t")
			if words := strings.Fields(facts); len(words) == 3 && path.Base(name) == cache.LockFile {
				blobs[words[2]] = true
			}
		}
	}
	out, err := r.git.feed(ctx, more, "log", "--all", "--ignore-missing", "--stdin", "--since-as-filter="+since.UTC().Format(time.RFC3339),
		"-m", "--root", "--raw", "--no-renames", "--no-abbrev", "--format=", "--", ":(top,glob)**/"+cache.LockFile)
	if err != nil {
		return nil, fmt.Errorf("%s: reading history: %w", r.repo, err)
	}
	for line := range strings.Lines(out) { // :<mode> <mode> <blob> <blob> <status> <path>
		if words := strings.Fields(line); len(words) > 4 && strings.HasPrefix(line, ":") {
			blobs[words[2]], blobs[words[3]] = true, true
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(blobs)), func(b string) bool { return strings.Trim(b, "0") == "" }), nil
}

// read collects the digests of lock files in the object store.
func (r *reach) read(ctx context.Context, blobs []string) error {
	out, err := r.git.feed(ctx, strings.Join(blobs, "\n")+"\n", "cat-file", "--batch")
	if err != nil {
		return fmt.Errorf("%s: reading locks: %w", r.repo, err)
	}
	in := bufio.NewReader(strings.NewReader(out))
	for range blobs {
		var hash, kind string
		var size int64
		if _, err := fmt.Fscanf(in, "%s %s %d\n", &hash, &kind, &size); err != nil {
			return fmt.Errorf("%s: reading lock %s: %w", r.repo, hash, err)
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(in, data); err != nil {
			return fmt.Errorf("%s: reading lock %s: %w", r.repo, hash, err)
		}
		_, _ = in.Discard(1) // the newline after the content
		r.mark(data)
	}
	return nil
}

var anyDigest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

func (r *reach) mark(lock []byte) {
	r.locks++
	for _, d := range anyDigest.FindAll(lock, -1) {
		r.results[cache.Digest(d)] = true
	}
}

// worktrees reads the locks that lie in the checkout and its linked worktrees,
// committed or not.
func (r *reach) worktrees(ctx context.Context) error {
	out, err := r.git.run(ctx, "worktree", "list", "--porcelain")
	if err != nil {
		return fmt.Errorf("%s: %w", r.repo, err)
	}
	for line := range strings.Lines(out) {
		dir, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "worktree ")
		if !ok {
			continue
		}
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			switch {
			case p == dir && errors.Is(err, fs.ErrNotExist): // a linked worktree that was deleted by hand
				return nil
			case err != nil:
				return err
			case d.IsDir() && d.Name() == ".git":
				return fs.SkipDir
			case d.IsDir() || d.Name() != cache.LockFile:
				return ctx.Err()
			}
			data, err := cache.ReadLock(filepath.Dir(p))
			if err == nil {
				r.mark(data)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: reading locks: %w", r.repo, err)
		}
	}
	return nil
}
