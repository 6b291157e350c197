package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The targets of the mixed requests, in milliseconds.
const (
	mixedTTFT = 2000
	mixedITL  = 50
)

// mixed are n rapid requests: three backends, five systems, dense models and
// mixtures of experts, aggregated and, under a planner, in two roles.
func mixed(n int) []string {
	backends := []string{"vllm", "sglang", "trtllm"}
	systems := []string{"h200_sxm", "h100_sxm", "b200_sxm", "a100_sxm", "l40s"}
	models := []string{"Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-8B"}
	var requests []string
	for i := range n {
		planner := ""
		if i%4 == 3 {
			planner = "  features: {planner: {enabled: true}}\n"
		}
		requests = append(requests, fmt.Sprintf(`apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: p%02d}
spec:
  model: %s
  backend: %s
  hardware: {gpuSku: %s, totalGpus: 8, numGpusPerNode: 8}
  workload: {isl: %d, osl: 500}
  sla: {ttft: %d.0, itl: %d.0}
%s`, i, models[(i/5)%len(models)], backends[i%len(backends)], systems[i%len(systems)], 2000+100*(i/15), mixedTTFT, mixedITL, planner))
	}
	return requests
}

// profile answers mixed requests in both ways.
func (b *bench) profile(ctx context.Context) error {
	if b.python == "" || b.dynamoPython == "" {
		b.skip("Dynamo's profiler")
		return nil
	}
	n := b.profiles
	if b.short {
		n = 1
	}
	requests := mixed(n)
	repo := filepath.Join(b.scratch, "mixed")
	for i, text := range requests {
		if err := writeFiles(repo, map[string][]byte{fmt.Sprintf("p%02d.yaml", i): []byte(text), ".git/HEAD": nil}); err != nil {
			return err
		}
	}
	ours := b.answer(repo, ".", "--jobs", "2")
	ours.fails = 1 // where a model does not fit
	out, took, err := ours.run()
	if err != nil {
		return err
	}
	all, err := outcomes(out)
	if err != nil {
		return err
	}
	var theirs usage
	refused, better, same := 0, 0, 0
	var differ []error
	for i, text := range requests {
		dir := filepath.Join(b.scratch, fmt.Sprintf("dynamo-%02d", i))
		u, answered, err := b.dynamoProfile(dir, text)
		if err != nil {
			return err
		}
		theirs.Wall, theirs.CPU, theirs.Peak = theirs.Wall+u.Wall, theirs.CPU+u.CPU, max(theirs.Peak, u.Peak)
		taken, err := dynamoRow(dir, answered)
		if err != nil {
			return err
		}
		pick, err := b.ourPick(ctx, repo+"-work", all[i])
		if err != nil {
			return err
		}
		switch {
		case pick == nil && (taken == nil || wrong(taken)):
			refused++
		case pick != nil && equal(columns(*pick), taken):
			same++
		case pick != nil && wrong(taken) && !wrong(columns(*pick)):
			better++
		default:
			differ = append(differ, fmt.Errorf("another pick: ours %v (%s), Dynamo's %v, of\n%s", pick, all[i].Error, taken, text))
		}
	}
	if err := errors.Join(differ...); err != nil {
		return err
	}
	if b.short {
		return nil
	}
	b.report.add(row{Work: "mixed rapid requests", N: n, Tool: "dynamo-profile-runner run --jobs 2", Runs: 1, Usage: took})
	b.report.add(row{Work: "mixed rapid requests", N: n, Tool: "Dynamo's profiler, one after the other", Runs: 1, Usage: theirs})
	b.report.goal(theirs.Wall >= 4*took.Wall, fmt.Sprintf("%d mixed rapid requests: at least 4x faster than Dynamo's profiler, with the same picks", n),
		"%s as fast; %d picks equal, %d of ours better where Dynamo's misses the SLA or cannot be deployed (otherMode, autoscaleITL, contextParallel of deviations.md), %d refused where Dynamo's misses it or there is none", times(float64(theirs.Wall)/float64(took.Wall)), same, better, refused)
	share := 100 * float64(took.Own) / float64(took.CPU-took.Own)
	b.report.goal(share < 5, "overhead over AIConfigurator's own time: under 5 %", "%.2g %% of the CPU time of its processes (%s of %s)", share, seconds(took.Own), seconds(took.CPU-took.Own))
	return nil
}

// dynamoProfile has Dynamo answer one request. A refusal is no error.
func (b *bench) dynamoProfile(dir, text string) (usage, bool, error) {
	spec, err := specOf(text, "")
	if err != nil {
		return usage{}, false, err
	}
	if err := writeFiles(dir, map[string][]byte{"spec.yaml": spec}); err != nil {
		return usage{}, false, err
	}
	p, err := b.dynamo("profile", filepath.Join(dir, "spec.yaml"), dir)
	if err != nil {
		return usage{}, false, err
	}
	start := time.Now()
	_, u, err := p.run()
	if err != nil {
		if _, statErr := os.Stat(filepath.Join(dir, "profiler_status.yaml")); statErr != nil {
			return usage{}, false, err
		}
		return usage{Wall: time.Since(start)}, false, nil
	}
	return u, true, nil
}

// dynamoRow is the row of AIConfigurator's table that Dynamo's profiler took; nil
// without one.
func dynamoRow(dir string, answered bool) (map[string]any, error) {
	if !answered {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(dir, "pick.json"))
	if err != nil {
		return nil, err
	}
	row := map[string]any{}
	return row, json.Unmarshal(data, &row)
}

// wrong reports whether a row misses the targets of the mixed requests, or splits the
// context over GPUs, for which there are no flags.
func wrong(row map[string]any) bool {
	above := func(column string, limit float64) bool {
		n, ok := row[column].(float64)
		return ok && n > limit
	}
	return above("ttft", mixedTTFT) || above("tpot", mixedITL) || above("cp", 1) || above("(p)cp", 1)
}

// ourPick is what we took; nil where there is no result.
func (b *bench) ourPick(ctx context.Context, repo string, o outcome) (*profile.Pick, error) {
	if o.Digest == "" {
		return nil, nil
	}
	store, err := cache.Open(cache.Embedded(repo, "."), cache.Options{})
	if err != nil {
		return nil, err
	}
	res, err := store.Get(ctx, o.Digest)
	if err != nil {
		return nil, err
	}
	return &res.Pick, nil
}

// equal holds the columns of a pick against a row.
func equal(ours, row map[string]any) bool {
	for column, value := range ours {
		if row[column] != value {
			return false
		}
	}
	return row != nil
}

// columns are a pick as AIConfigurator's table has it.
func columns(p profile.Pick) map[string]any {
	all := map[string]any{}
	if p.Expected != nil {
		all["ttft"], all["tpot"] = p.Expected.TTFTMillis, p.Expected.ITLMillis
	}
	for _, r := range p.Roles {
		prefix := map[profile.RoleName]string{profile.RolePrefill: "(p)", profile.RoleDecode: "(d)"}[r.Name]
		for name, value := range map[string]int{"tp": r.Parallelism.TP, "pp": r.Parallelism.PP, "dp": r.Parallelism.DP,
			"moe_tp": r.Parallelism.MoETP, "moe_ep": r.Parallelism.MoEEP, "bs": r.BatchSize} {
			all[prefix+name] = float64(value)
		}
	}
	return all
}
