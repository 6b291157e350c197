package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// remoteOptions say where requests come from and where locks go.
type remoteOptions struct {
	repo       string // URL to clone; empty for the checkout of the paths
	branch     string // that the requests are on; empty for the checkout's, or the default
	pushBranch string // that gets the locks; empty for none
	allowBase  bool
}

func (o *remoteOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.repo, "repo", "", "URL of a repository to clone, by which paths (default: all of it) and --model-config go; without it the checkout of the paths is worked on")
	flags.StringVar(&o.branch, "branch", "", "that the requests are on (default: the checkout's, or the remote's default branch)")
	flags.StringVar(&o.pushBranch, "push-branch", "", "branch that the locks are pushed to as a commit; the checkout's own branch and index stay as they are")
	flags.BoolVar(&o.allowBase, "allow-base-branch", false, "let --push-branch name a branch that deployments are made from: --branch, the default branch, "+strings.Join(protectedNames, ", "))
}

// protectedNames are branches that deployments are usually made from.
var protectedNames = []string{"main", "master", "trunk", "production", "prod", "release"}

// remote is a repository as it is elsewhere, and the one on this machine in which
// commits for it are made.
type remote struct {
	git     gitRepo
	url     string // or the name of a remote
	base    string // branch
	branch  string // that gets the locks; empty for none
	refs    string // below which fetched commits are kept from git's cleaning
	shallow bool   // fetch no more history than is needed
	store   string // of the results; empty for the repository's own
	close   func()
}

// tips are the commits that the branches of a remote are at.
type tips struct{ base, branch string } // branch is empty where there is none yet

// openRemote prepares a clone, or the checkout that the paths are in. It returns the
// paths as they are on this machine. It is nil where no repository was asked for.
func openRemote(ctx context.Context, o runOptions, paths []string) (*remote, []string, error) {
	if o.remote.repo == "" && o.remote.pushBranch == "" {
		return nil, paths, nil
	}
	r := &remote{url: "origin", base: o.remote.branch, branch: o.remote.pushBranch, store: o.store,
		refs: "refs/dynamo-profile-runner/" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(rand.Uint64(), 36)}
	var err error
	if o.remote.repo != "" {
		paths, err = r.clone(ctx, o.remote.repo, paths)
	} else {
		err = r.checkout(ctx, paths)
	}
	if err == nil {
		err = r.allowed(ctx, o.remote.allowBase)
	}
	if err == nil && o.remote.repo != "" {
		err = r.populate(ctx)
	}
	if err != nil {
		if r.close != nil {
			r.close()
		}
		return nil, nil, err
	}
	return r, paths, nil
}

// clone makes an empty repository for the URL in a temporary directory.
func (r *remote) clone(ctx context.Context, url string, paths []string) ([]string, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	dir, err := os.MkdirTemp("", "dynamo-repo-")
	if err != nil {
		return nil, err
	}
	r.shallow = true
	r.close = func() { _ = os.RemoveAll(dir) }
	r.git = openGit(dir, url)
	var local []string
	for _, p := range paths {
		if !filepath.IsLocal(p) {
			return nil, &usageError{fmt.Errorf("%s: with --repo, paths are below the root of the repository", p)}
		}
		local = append(local, filepath.Join(dir, p))
	}
	if _, err := r.git.run(ctx, "init", "--quiet"); err != nil {
		return nil, err
	}
	_, err = r.git.run(ctx, "remote", "add", "origin", url)
	return local, err
}

// checkout finds the repository of the paths, and its branch.
func (r *remote) checkout(ctx context.Context, paths []string) error {
	root := ""
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			p = filepath.Dir(p)
		}
		tree, _, err := render.OpenTree(p)
		if err != nil {
			return &usageError{err}
		}
		_ = tree.Close()
		if root != "" && root != tree.Root() {
			return &usageError{fmt.Errorf("--push-branch: %s and %s are two repositories; to push for both: run once for each", root, tree.Root())}
		}
		root = tree.Root()
	}
	r.git = openGit(root, "")
	url, err := r.git.origin(ctx)
	if err != nil {
		return &usageError{fmt.Errorf("--push-branch: %s has no git remote origin to push to; to add it: git remote add origin URL", root)}
	}
	r.git = openGit(root, url)
	r.close = func() {
		ctx := context.WithoutCancel(ctx)
		if refs, err := r.git.run(ctx, "for-each-ref", "--format=delete %(refname)", r.refs); err == nil {
			_, _ = r.git.feed(ctx, refs+"\n", "update-ref", "--stdin")
		}
	}
	if r.base == "" {
		r.base, _ = r.git.run(ctx, "symbolic-ref", "--quiet", "--short", "HEAD") // none when detached
	}
	return nil
}

// allowed asks the remote for its branches, completes the base, and refuses to push to
// one that deployments are made from.
func (r *remote) allowed(ctx context.Context, allowBase bool) error {
	heads, err := r.git.run(ctx, "ls-remote", "--symref", r.url, "HEAD")
	if err != nil {
		return fmt.Errorf("asking the remote for its branches: %w", err)
	}
	main := ""
	for line := range strings.Lines(heads) {
		if name, ok := strings.CutPrefix(line, "ref: refs/heads/"); ok {
			main, _, _ = strings.Cut(name, "\t")
		}
	}
	if r.base == "" {
		r.base = main
	}
	if r.base == "" {
		return &usageError{errors.New("the remote names no default branch; to name the one that the requests are on: --branch")}
	}
	if r.branch == "" {
		return nil
	}
	for _, name := range []string{r.base, r.branch} {
		if _, err := r.git.run(ctx, "check-ref-format", "--branch", name); err != nil {
			return &usageError{fmt.Errorf("%q is no name for a branch", name)}
		}
	}
	top, _, _ := strings.Cut(r.branch, "/")
	if !allowBase && (r.branch == r.base || r.branch == main || slices.Contains(protectedNames, top)) {
		return &usageError{fmt.Errorf("--push-branch: deployments are made from %s; push to a branch of another name and merge it after review, or to change what runs at once: --allow-base-branch", r.branch)}
	}
	return nil
}

// populate checks out what requests are read from: the base, with what an earlier run
// pushed and nobody has merged yet.
func (r *remote) populate(ctx context.Context) error {
	start, err := r.start(ctx)
	if err != nil {
		return err
	}
	_, err = r.git.run(ctx, "checkout", "--quiet", "--detach", start.commit)
	return err
}

// plainErrors names paths in a clone as they are in the repository.
func (r *remote) plainErrors(err error) error {
	if r == nil || err == nil || !r.shallow {
		return err
	}
	plain := errors.New(strings.ReplaceAll(err.Error(), r.git.dir+string(filepath.Separator), ""))
	var usage *usageError
	if errors.As(err, &usage) {
		return &usageError{plain}
	}
	return plain
}

// end removes what was made on this machine.
func (r *remote) end() {
	if r != nil {
		r.close()
	}
}

// below are relative paths as they are in a clone.
func (r *remote) below(paths []string) []string {
	if r == nil || !r.shallow {
		return paths
	}
	var local []string
	for _, p := range paths {
		if filepath.IsLocal(p) {
			p = filepath.Join(r.git.dir, p)
		}
		local = append(local, p)
	}
	return local
}
