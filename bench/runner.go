package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// outcome is a row of what dynamo-profile-runner run prints.
type outcome struct {
	Request, Status, Error string
	Digest                 cache.Digest
}

func outcomes(out []byte) ([]outcome, error) {
	var all []outcome
	return all, json.Unmarshal(out, &all)
}

// counts says how many outcomes have each status.
func counts(out []byte) (map[string]int, error) {
	all, err := outcomes(out)
	found := map[string]int{}
	for _, o := range all {
		found[o.Status]++
	}
	return found, err
}

// unknownGPU is a request for GPUs that no table describes.
const unknownGPU = `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: %s}
spec:
  model: Qwen/Qwen3-0.6B
  backend: vllm
  workload: {isl: %d, osl: 100}
  hardware: {gpuSku: v100_sxm, totalGpus: 8, numGpusPerNode: 8}
`

// runner runs over fleets of which nearly all have their result.
func (b *bench) runner(ctx context.Context) error {
	if b.python == "" {
		b.skip("AIConfigurator")
		return nil
	}
	for _, n := range b.sizes {
		if err := b.hits(ctx, n); err != nil {
			return err
		}
	}
	return b.duplicates()
}

// hits measures a fleet of n with 5 % of misses, and those misses alone.
func (b *bench) hits(ctx context.Context, n int) error {
	misses := n / 20
	f, err := b.sample.build(ctx, filepath.Join(b.scratch, fmt.Sprintf("hits-%d", n)), "", n-misses)
	if err != nil {
		return err
	}
	few := filepath.Join(b.scratch, fmt.Sprintf("misses-%d", n))
	for i := range misses {
		text := fmt.Appendf(nil, unknownGPU, fmt.Sprintf("z%04d", i), 1000+i)
		if err := errors.Join(writeFiles(f.dir, map[string][]byte{fmt.Sprintf("z%04d.yaml", i): text}),
			writeFiles(few, map[string][]byte{fmt.Sprintf("z%04d.yaml", i): text, ".git/HEAD": nil})); err != nil {
			return err
		}
	}
	name := "dynamo-profile-runner run"
	all := b.answer(f.repo, filepath.Join("apps", "fleet"))
	out, _, err := all.run()
	if err != nil {
		return err
	}
	if got, err := counts(out); err != nil || got["hit"] != n-misses || got["profiled"] != misses {
		return fmt.Errorf("%d hits and %d misses came out as %v (%w)", n-misses, misses, got, err)
	}
	if err := b.measure("fleet with 95 % hits", n, []string{name}, []process{all}); err != nil || misses == 0 || b.short {
		return err
	}
	if err := b.measure("the misses of that fleet alone", n, []string{name}, []process{b.answer(few, ".")}); err != nil {
		return err
	}
	if n == b.sizes[len(b.sizes)-1] {
		whole, alone := b.report.find("fleet with 95 % hits", n, name), b.report.find("the misses of that fleet alone", n, name)
		b.report.goal(whole.Wall < 5*time.Second, "1,000 requests with 95 % hits: under 5 s",
			"%s; the misses alone take %s", seconds(whole.Wall), seconds(alone.Wall))
	}
	return nil
}

// answer runs over a directory of a copy of a repository, which each run begins with.
func (b *bench) answer(repo, dir string, flags ...string) process {
	work := repo + "-work"
	return process{
		argv: append([]string{b.tool("dynamo-profile-runner"), "run", filepath.Join(work, dir), "--python", b.python, "--output", "json"}, flags...),
		reset: func() error {
			if err := os.RemoveAll(work); err != nil {
				return err
			}
			return exec.Command("cp", "-r", repo, work).Run()
		},
	}
}

// duplicates are requests with equal inputs, which one profile answers.
func (b *bench) duplicates() error {
	const n = 40
	repo := filepath.Join(b.scratch, "duplicates")
	for i := range n {
		name := fmt.Sprintf("d%02d", i)
		if err := writeFiles(repo, map[string][]byte{name + ".yaml": fmt.Appendf(nil, unknownGPU, name, 1000), ".git/HEAD": nil}); err != nil {
			return err
		}
	}
	p := b.answer(repo, ".")
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	if err := p.reset(); err != nil {
		return err
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said.String())
	}
	all, err := outcomes(out)
	if err != nil {
		return err
	}
	digests := map[cache.Digest]bool{}
	for _, o := range all {
		digests[o.Digest] = true
	}
	profiled := strings.Count(said.String(), ": checking support\n") // once for each profile
	if len(all) != n || len(digests) != 1 {
		return fmt.Errorf("%d equal requests have %d results", len(all), len(digests))
	}
	b.report.goal(profiled == 1, "equal requests are profiled once", "%d requests, %d profile", n, profiled)
	return nil
}
