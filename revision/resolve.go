package revision

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// Commit is a commit of a repository.
type Commit struct {
	Hash   string // in full
	commit *object.Commit
	repo   *Repository
}

// suffix is what may follow a name: ~, ~2, ^, ^2 and any row of them.
var suffix = regexp.MustCompile(`[~^]\d*`)

// Commit finds the commit that a revision names: a branch, a tag, a remote branch, a
// hash in full or from four digits on, HEAD or @, each with ~N and ^N behind it
// (gitrevisions(7)).
func (r *Repository) Commit(rev string) (*Commit, error) {
	name, steps := rev, ""
	if i := strings.IndexAny(rev, "~^"); i >= 0 {
		name, steps = rev[:i], rev[i:]
	}
	c, err := r.named(cmp.Or(name, "HEAD"))
	if err != nil {
		return nil, fmt.Errorf("revision %q: %w", rev, err)
	}
	if suffix.ReplaceAllString(steps, "") != "" {
		return nil, fmt.Errorf("revision %q: want a branch, a tag or a commit, with ~N or ^N behind it", rev)
	}
	for _, step := range suffix.FindAllString(steps, -1) {
		if c, err = follow(c, step); err != nil {
			return nil, fmt.Errorf("revision %q: %w", rev, err)
		}
	}
	return &Commit{c.Hash.String(), c, r}, nil
}

// follow goes from a commit to an ancestor: ~3 is the third first parent, ^2 the
// second parent.
func follow(c *object.Commit, step string) (*object.Commit, error) {
	n := 1
	if len(step) > 1 {
		var err error
		if n, err = strconv.Atoi(step[1:]); err != nil {
			return nil, err
		}
	}
	times, parent := n, 0
	if step[0] == '^' {
		times, parent = min(n, 1), max(n-1, 0)
	}
	for range times {
		next, err := c.Parent(parent)
		if err != nil {
			return nil, missing(c, err)
		}
		c = next
	}
	return c, nil
}

func missing(c *object.Commit, err error) error {
	if errors.Is(err, object.ErrParentNotFound) {
		return fmt.Errorf("commit %s has no such parent", c.Hash)
	}
	return fmt.Errorf("the history below commit %s is not here: %w; to fetch it: git fetch --unshallow", c.Hash, err)
}

func (r *Repository) named(name string) (*object.Commit, error) {
	if name == "@" {
		name = "HEAD"
	}
	for _, rule := range plumbing.RefRevParseRules {
		ref, err := storer.ResolveReference(r.store, plumbing.ReferenceName(fmt.Sprintf(rule, name)))
		if err == nil {
			return r.peel(ref.Hash())
		}
	}
	found, err := r.abbreviated(name)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, errors.New("no such branch, tag or commit here")
	case 1:
		return found[0], nil
	}
	return nil, errors.New("is the beginning of more than one commit")
}

// abbreviated finds the commits whose hash begins with these digits.
func (r *Repository) abbreviated(digits string) ([]*object.Commit, error) {
	whole, err := hex.DecodeString(digits[:len(digits)&^1])
	if err != nil || len(digits) < 4 || len(digits) > 40 {
		return nil, nil
	}
	hashes, err := r.store.HashesWithPrefix(whole)
	if err != nil {
		return nil, err
	}
	var found []*object.Commit
	for _, hash := range hashes {
		if !strings.HasPrefix(hash.String(), strings.ToLower(digits)) {
			continue
		}
		if c, err := r.peel(hash); err == nil {
			found = append(found, c)
		}
	}
	return found, nil
}

// peel is the commit of a hash: its own, or that of an annotated tag.
func (r *Repository) peel(hash plumbing.Hash) (*object.Commit, error) {
	if tag, err := object.GetTag(r.store, hash); err == nil {
		return tag.Commit()
	}
	c, err := object.GetCommit(r.store, hash)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", hash, err)
	}
	return c, nil
}

// Base is the commit that a change is to be held against: where the history of head
// left the default branch of the remote origin, as the last fetch knows it. Without
// such a branch it is head itself.
func (r *Repository) Base(head *Commit) (*Commit, error) {
	for _, name := range []string{"HEAD", "main", "master"} {
		ref, err := storer.ResolveReference(r.store, plumbing.ReferenceName("refs/remotes/origin/"+name))
		if err != nil {
			continue
		}
		branch, err := r.peel(ref.Hash())
		if err != nil {
			return nil, fmt.Errorf("origin/%s: %w", name, err)
		}
		bases, err := head.commit.MergeBase(branch)
		if err != nil {
			return nil, fmt.Errorf("origin/%s: the history to where it was left is not here: %w; to fetch it: git fetch --unshallow", name, err)
		}
		if len(bases) == 0 {
			return nil, fmt.Errorf("origin/%s has no commit in common with %s", name, head.Hash)
		}
		return &Commit{bases[0].Hash.String(), bases[0], r}, nil
	}
	return head, nil
}
