package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// example is the application that every fleet is made of: vLLM, prefill and decode
// engines, a planner.
const example = "examples/gitops-repo/apps/llama-70b"

// fleet is a repository with one directory of n requests, each of another prompt
// length, so that each has a result of its own.
type fleet struct {
	repo    string
	dir     string // of the requests
	store   string
	results []cache.Digest
	entries []cache.LockEntry
}

// sample is the stored result of the example.
type sample struct {
	dgdr   string
	entry  cache.LockEntry
	result *profile.Result
	files  []profile.File
}

func readSample(ctx context.Context) (*sample, error) {
	dgdr, err := os.ReadFile(filepath.Join(example, "dgdr.yaml"))
	if err != nil {
		return nil, fmt.Errorf("bench runs in the root of the repository: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(example, cache.LockFile))
	if err != nil {
		return nil, err
	}
	lock, err := cache.ParseLock(cache.LockFile, data)
	if err != nil {
		return nil, err
	}
	store, err := cache.Open("oci-layout:examples/gitops-repo/.dynamo-cmp/store", cache.Options{})
	if err != nil {
		return nil, err
	}
	s := &sample{dgdr: string(dgdr), entry: lock.Profiles[0]}
	if s.result, err = store.Get(ctx, s.entry.Result); err != nil {
		return nil, err
	}
	s.files, err = store.Files(ctx, s.entry.Result)
	return s, err
}

// isl is the prompt length that request i differs by; the first is the example's.
func isl(i int) int { return 4000 + i }

func memberName(i int) string { return fmt.Sprintf("m%04d", i) }

// request is the text of request i.
func (s *sample) request(i int) string {
	text := strings.Replace(s.dgdr, "name: llama-70b", "name: "+memberName(i), 1)
	return strings.Replace(text, "isl: 4000", fmt.Sprintf("isl: %d", isl(i)), 1)
}

// resultOf is the sample as the answer to request i.
func (s *sample) resultOf(i int) *profile.Result {
	res := *s.result
	res.Inputs.Workload.ISL = isl(i)
	return &res
}

// build makes a fleet whose results are in store, or in the repository where that
// is empty.
func (s *sample) build(ctx context.Context, repo, store string, n int) (*fleet, error) {
	f := &fleet{repo: repo, dir: filepath.Join(repo, "apps", "fleet"), store: store}
	if store == "" {
		f.store = "oci-layout:" + filepath.Join(repo, ".dynamo-cmp", "store")
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.Command("git", "init", "-q", "-b", "main", repo).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("git init: %w: %s", err, out)
	}
	hardware, err := os.ReadFile("examples/gitops-repo/hardware.yaml")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(repo, "hardware.yaml"), hardware, 0o644); err != nil {
		return nil, err
	}
	opened, err := cache.Open(f.store, cache.Options{})
	if err != nil {
		return nil, err
	}
	for i := range n {
		res := s.resultOf(i)
		digest, err := opened.Put(ctx, res, s.files)
		if err != nil {
			return nil, err
		}
		entry := s.entry
		entry.Name, entry.Key, entry.Result = memberName(i), res.Inputs.Key(), digest
		f.results, f.entries = append(f.results, digest), append(f.entries, entry)
		if err := os.WriteFile(filepath.Join(f.dir, entry.Name+".yaml"), []byte(s.request(i)), 0o644); err != nil {
			return nil, err
		}
	}
	return f, cache.UpdateLock(ctx, f.dir, f.entries)
}

// commit records the repository as it stands.
func (f *fleet) commit() error {
	for _, args := range [][]string{{"add", "-A"}, {"-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", "fleet"}} {
		if out, err := exec.Command("git", append([]string{"-C", f.repo}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}
