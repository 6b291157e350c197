package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// review looks at a fleet in which one request was changed since its commit.
func (b *bench) review(ctx context.Context) error {
	for _, n := range b.sizes {
		f, err := b.sample.build(ctx, filepath.Join(b.scratch, fmt.Sprintf("review-%d", n)), "", n)
		if err != nil {
			return err
		}
		if err := f.commit(); err != nil {
			return err
		}
		before, _, err := process{argv: []string{b.tool("dynamo-cmp"), "generate", f.dir}}.run()
		if err != nil {
			return err
		}
		if err := b.change(ctx, f); err != nil {
			return err
		}
		after, _, err := process{argv: []string{b.tool("dynamo-cmp"), "generate", f.dir}}.run()
		if err != nil {
			return err
		}
		diff := process{argv: []string{b.tool("dynamo-cmp"), "diff", "apps/fleet"}, dir: f.repo, fails: 2}
		out, _, err := diff.run()
		if err != nil {
			return err
		}
		if !strings.Contains(string(out), memberName(0)) || strings.Contains(string(out), memberName(1)) {
			return fmt.Errorf("diff of %d says not what was changed: %.2000s", n, out)
		}
		names, processes := []string{"dynamo-cmp diff"}, []process{diff}
		if p, err := b.twoBuilds(filepath.Join(b.scratch, fmt.Sprintf("builds-%d", n)), before, after); err == nil {
			names, processes = append(names, "kustomize build of both, and diff"), append(processes, p)
		}
		if err := b.measure("diff, one changed", n, names, processes); err != nil {
			return err
		}
		lint := process{argv: []string{b.tool("dynamo-cmp"), "lint", f.repo}}
		out, _, err = lint.run()
		if err != nil {
			return err
		}
		if found := bytes.Count(out, []byte(": warning: ")); found == 0 || found%n != 0 || bytes.Contains(out, []byte(": error: ")) {
			return fmt.Errorf("lint of %d finds not the same in each: %.2000s", n, out)
		}
		if err := b.measure("lint", n, []string{"dynamo-cmp lint"}, []process{lint}); err != nil {
			return err
		}
	}
	return nil
}

// change gives the first request another prompt length, and its result.
func (b *bench) change(ctx context.Context, f *fleet) error {
	const changed = 9000
	text := strings.Replace(b.sample.request(0), fmt.Sprintf("isl: %d", isl(0)), fmt.Sprintf("isl: %d", changed), 1)
	if err := os.WriteFile(filepath.Join(f.dir, memberName(0)+".yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	store, err := cache.Open(f.store, cache.Options{})
	if err != nil {
		return err
	}
	res := *b.sample.result
	res.Inputs.Workload.ISL = changed
	entry := f.entries[0]
	if entry.Result, err = store.Put(ctx, &res, b.sample.files); err != nil {
		return err
	}
	entry.Key = res.Inputs.Key()
	return cache.UpdateLock(ctx, f.dir, []cache.LockEntry{entry})
}

// twoBuilds is what shows a change of plain manifests.
func (b *bench) twoBuilds(dir string, before, after []byte) (process, error) {
	for side, manifests := range map[string][]byte{"before": before, "after": after} {
		if _, err := b.kustomize(filepath.Join(dir, side), 0, manifests); err != nil {
			return process{}, err
		}
	}
	script := "kustomize build before > before.out && kustomize build after > after.out && diff -u before.out after.out; [ $? = 1 ]"
	return process{argv: []string{"sh", "-c", script}, dir: dir}, nil
}
