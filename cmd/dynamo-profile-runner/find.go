package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// job is one request to answer, with the directory whose lock pins the answer.
type job struct {
	req     *profile.Request
	dir     string // absolute, of the DGDR and its dynamo.lock
	rel     string // the same, below the repository root, as messages name it
	root    string // of the repository
	problem error  // why the request cannot be answered at all; req may be nil then
}

// findJobs reads the DGDRs of paths: files, directories and everything below
// them. What is wrong with one directory becomes a job with a problem, so that it
// stops no other. A path that does not exist, or that holds no DGDR, is an error.
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
				id = j.req.File + "\x00" + j.req.Name
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
		jobs := loadDir(filepath.Dir(path))
		jobs = slices.DeleteFunc(jobs, func(j job) bool {
			return j.req != nil && filepath.Base(j.req.File) != filepath.Base(path)
		})
		return nonEmpty(path, jobs)
	}
	var jobs []job
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		if p != path && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if holdsRequest(p) {
			jobs = append(jobs, loadDir(p)...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("searching %s: %w", path, err)
	}
	return nonEmpty(path, jobs)
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
	var jobs []job
	for _, req := range src.Requests {
		jobs = append(jobs, job{req: req, dir: abs, rel: rel, root: tree.Root()})
	}
	return jobs
}
