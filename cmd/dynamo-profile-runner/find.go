package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// job is one request to answer, with the directory whose lock pins the answer.
type job struct {
	req     *profile.Request
	key     profile.Key // of req; computing it takes a while
	dir     string      // absolute, of the DGDR and its dynamo.lock
	rel     string      // the same, below the repository root, as messages name it
	root    string      // of the repository
	carried string      // the store that the repository carries for the directory
	problem error       // why the request cannot be answered at all; req may be nil then
	// asked is the key of the request where req is its estimate; else empty.
	asked profile.Key
	found *named // the result of the request, where it was looked up already
	// lock is the lock of the directory, as it was when one of its jobs first asked: one
	// of a thousand entries is not read for each of them.
	lock func() (*cache.Lock, error)
}

// with is the job with that request.
func (j job) with(req *profile.Request) job {
	j.req, j.key = req, req.Inputs().Key()
	return j
}

// at is the error with the place of the request.
func (j job) at(err error) error {
	return fmt.Errorf("%s:%d: request %q: %w", j.req.File, j.req.Line, j.req.Name, err)
}

// findJobs reads the DGDRs of paths: files, directories and everything below
// them. A directory with a kustomization answers the DGDRs that it builds, wherever
// they are written. What is wrong with one directory becomes a job with a problem,
// so that it stops no other. A path that does not exist, or that holds no DGDR, is
// an error.
func findJobs(ctx context.Context, paths []string) ([]job, error) {
	var jobs []job
	var errs []error
	seen := map[string]bool{}
	for _, p := range paths {
		found, err := findBelow(ctx, p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, j := range found {
			id := j.dir
			if j.req != nil {
				id += "\x00" + j.req.Name
			}
			if !seen[id] {
				seen[id] = true
				jobs = append(jobs, j)
			}
		}
	}
	return jobs, errors.Join(errs...)
}

func findBelow(ctx context.Context, path string) ([]job, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &usageError{err}
	}
	if !info.IsDir() {
		jobs, err := inFile(path)
		if err != nil {
			return nil, err
		}
		return nonEmpty(path, jobs)
	}
	var places []place
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		if p != path && passedOver(d.Name()) {
			return fs.SkipDir
		}
		if strings.Count(p, string(filepath.Separator)) > render.MaxNesting+strings.Count(path, string(filepath.Separator)) {
			return fmt.Errorf("directories are nested deeper than %d levels; to leave them out, name the directories to search", render.MaxNesting)
		}
		if found := look(p); found.holds {
			places = append(places, found)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("searching %s: %w", path, err)
	}
	var jobs []job
	for _, p := range stand(places, path) {
		jobs = append(jobs, loadDir(p.dir)...)
	}
	return nonEmpty(path, jobs)
}

// passedOver reports whether a directory below the one that was named is left out:
// hidden ones, and testdata, where Argo CD keeps the samples of health checks.
func passedOver(name string) bool {
	return strings.HasPrefix(name, ".") || name == "testdata"
}

// inFile reads the DGDRs that are written in one file, as its directory builds
// them. A kustomization stands for its directory.
func inFile(path string) ([]job, error) {
	jobs := loadDir(filepath.Dir(path))
	if slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}, filepath.Base(path)) {
		return jobs, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(jobs, func(j job) bool {
		return j.req != nil && filepath.Join(j.root, filepath.FromSlash(j.req.File)) != abs
	}), nil
}

func nonEmpty(path string, jobs []job) ([]job, error) {
	if len(jobs) == 0 {
		return nil, &usageError{fmt.Errorf("%s: no DynamoGraphDeploymentRequest here; to write a first one see the examples of: dynamo-profile-runner run --help", path)}
	}
	return jobs, nil
}

// holdsRequest says whether a YAML file directly in dir mentions a DGDR, so that
// a search through a repository reads charts and other people's files no further.
func holdsRequest(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // the walk reports it
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !e.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
			continue
		}
		if mentionsRequest(filepath.Join(dir, e.Name())) {
			return true
		}
	}
	return false
}

// mentionsRequest reads no further than a manifest file may be long. A file that
// cannot be read counts, so that loading says why.
func mentionsRequest(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 4<<20))
	return err != nil || bytes.Contains(data, []byte("DynamoGraphDeploymentRequest"))
}

// place is a directory that a search came by.
type place struct {
	dir   string // as the walk names it
	id    string // the same for every way to name it
	holds bool   // a DGDR is mentioned in what it builds from
	part  bool   // it is a kustomize component, which is not built alone
	uses  []string
}

// look finds out what a directory holds.
func look(dir string) place {
	p := place{dir: dir, id: dir}
	tree, rel, err := render.OpenTree(dir)
	if err != nil {
		p.holds = holdsRequest(dir) // loading says why
		return p
	}
	defer tree.Close()
	p.id = filepath.Join(tree.Root(), rel)
	reach := tree.Reach(rel)
	if reach == nil {
		p.holds = holdsRequest(dir)
		return p
	}
	p.holds, p.part = reach.Requests, reach.Component
	for _, used := range reach.Dirs {
		p.uses = append(p.uses, filepath.Join(tree.Root(), used))
	}
	return p
}

// stand leaves out the directories that are there for others: bases, components
// and patches of kustomizations that were found as well. The one that was asked
// for stays, and so does one that has a lock.
func stand(places []place, asked string) []place {
	used := map[string]bool{}
	for _, p := range places {
		for _, id := range p.uses {
			used[id] = true
		}
	}
	return slices.DeleteFunc(places, func(p place) bool {
		if !p.part && !used[p.id] || p.dir == asked {
			return false
		}
		_, err := os.Stat(filepath.Join(p.dir, cache.LockFile))
		return err != nil
	})
}

// workingDirectory is where the process runs, as a job without a request.
func workingDirectory() (job, error) {
	tree, rel, err := render.OpenTree(".")
	if err != nil {
		return job{}, err
	}
	defer tree.Close()
	return job{dir: filepath.Join(tree.Root(), filepath.FromSlash(rel)), rel: rel, root: tree.Root(), carried: cache.Embedded(tree.Root(), rel)}, nil
}

// loadDir reads one directory as dynamo-cmp does.
func loadDir(dir string) []job {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return []job{{dir: dir, rel: dir, problem: err}}
	}
	tree, rel, err := render.OpenTree(dir)
	if err != nil {
		return []job{{dir: abs, rel: dir, problem: err}}
	}
	defer tree.Close()
	src, err := tree.Load(rel)
	if err != nil {
		return []job{{dir: abs, rel: rel, root: tree.Root(), problem: err}}
	}
	each := job{dir: abs, rel: rel, root: tree.Root(), carried: cache.Embedded(tree.Root(), rel)}
	each.lock = sync.OnceValues(func() (*cache.Lock, error) {
		return readLock(abs, path.Join(rel, cache.LockFile))
	})
	var jobs []job
	for _, req := range src.Requests {
		jobs = append(jobs, each.with(req))
	}
	return jobs
}

// modelDir is where the request's model cache is mounted here, if its config.json
// can be read, as Dynamo's profiler looks for it.
func modelDir(req *profile.Request) string {
	mc := req.Spec.ModelCache
	if mc == nil || mc.PVCModelPath == "" {
		return ""
	}
	dir := mc.PVCModelPath
	if rel, err := filepath.Rel(mc.PVCMountPath, dir); err != nil || !filepath.IsLocal(rel) {
		dir = filepath.Join(mc.PVCMountPath, dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		return ""
	}
	return dir
}
