package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
	requests := mixed(n)
	sizes := []int{n / 8, n / 4, n / 2, n}
	if b.short {
		sizes = []int{n}
	}
	ours, dynamos := map[int]usage{}, map[int]usage{} // by size
	var took usage
	var all []outcome
	for _, size := range sizes {
		var err error
		if all, took, err = b.answerMixed(requests[:size], b.answer(b.mixedRepo(size), ".", "--jobs", "2")); err != nil {
			return err
		}
		ours[size] = took
	}
	var theirs usage
	found := map[verdict]int{}
	var differ []error
	for i, text := range requests {
		dir := filepath.Join(b.scratch, fmt.Sprintf("dynamo-%02d", i))
		u, err := b.dynamoProfile(dir, text)
		if err != nil {
			return err
		}
		theirs.Wall, theirs.CPU, theirs.Peak = theirs.Wall+u.Wall, theirs.CPU+u.CPU, max(theirs.Peak, u.Peak)
		dynamos[i+1] = theirs
		v, err := b.hold(ctx, all[i], dir)
		if err != nil {
			differ = append(differ, fmt.Errorf("%w, of\n%s", err, text))
		}
		found[v]++
	}
	if err := errors.Join(differ...); err != nil {
		return err
	}
	if b.short {
		return nil
	}
	for _, size := range sizes {
		b.report.add(row{Work: mixedWork, N: size, Tool: "dynamo-profile-runner run --jobs 2", Runs: 1, Usage: ours[size]})
		b.report.add(row{Work: mixedWork, N: size, Tool: "Dynamo's profiler, one after the other", Runs: 1, Usage: dynamos[size]})
	}
	b.report.goal(theirs.Wall >= 4*took.Wall, fmt.Sprintf("%d mixed rapid requests: at least 4x faster than Dynamo's profiler, with the same picks", n),
		"%s as fast; %d picks equal, %d of ours better where Dynamo's misses the SLA or cannot be deployed (otherMode, autoscaleITL, contextParallel of deviations.md), %d refused where Dynamo's misses it or there is none", times(float64(theirs.Wall)/float64(took.Wall)), found[samePick], found[betterPick], found[refused])
	share := 100 * float64(took.Own) / float64(took.CPU-took.Own)
	b.report.goal(share < 5, "overhead over AIConfigurator's own time: under 5 %", "%.2g %% of the CPU time of its processes (%s of %s)", share, seconds(took.Own), seconds(took.CPU-took.Own))
	return b.jobs(requests[:8])
}

const mixedWork = "mixed rapid requests"

func (b *bench) mixedRepo(n int) string { return filepath.Join(b.scratch, fmt.Sprintf("mixed-%d", n)) }

// answerMixed has our runner answer requests, some of which have no answer.
func (b *bench) answerMixed(requests []string, p process) ([]outcome, usage, error) {
	repo := b.mixedRepo(len(requests))
	for i, text := range requests {
		if err := writeFiles(repo, map[string][]byte{fmt.Sprintf("p%02d.yaml", i): []byte(text), ".git/HEAD": nil}); err != nil {
			return nil, usage{}, err
		}
	}
	p.fails = 1
	out, took, err := p.run()
	if err != nil {
		return nil, usage{}, err
	}
	all, err := outcomes(out)
	return all, took, err
}

// jobs measures the memory of all processes of a run, as --jobs bounds it.
func (b *bench) jobs(requests []string) error {
	var peaks []float64
	for _, jobs := range []int{1, 2, 4} {
		p := b.answer(b.mixedRepo(len(requests)), ".", "--jobs", fmt.Sprint(jobs))
		p.tree = true
		_, took, err := b.answerMixed(requests, p)
		if err != nil {
			return err
		}
		b.report.add(row{Work: "eight requests with more jobs", N: jobs, Tool: "dynamo-profile-runner run --jobs N", Runs: 1, Usage: took})
		peaks = append(peaks, took.Peak)
	}
	b.report.goal(peaks[1] < 2.2*peaks[0] && peaks[2] < 4.4*peaks[0], "memory bounded by --jobs", "%.0f MiB with one job, %.0f with two, %.0f with four", peaks[0], peaks[1], peaks[2])
	return nil
}

// verdict is how our answer compares with that of Dynamo's profiler.
type verdict int

const (
	samePick   verdict = iota
	betterPick         // Dynamo's misses the SLA, or cannot be deployed
	refused            // Dynamo's does, or there is none
)

// hold holds our answer against what Dynamo's profiler left in a directory.
func (b *bench) hold(ctx context.Context, o outcome, dir string) (verdict, error) {
	taken, err := dynamoRow(dir)
	if err != nil {
		return 0, err
	}
	if o.Digest == "" {
		if taken == nil || wrong(taken) {
			return refused, nil
		}
		return 0, fmt.Errorf("ours refuses: %s; Dynamo takes %v", o.Error, taken)
	}
	store, err := cache.Open(cache.Embedded(b.mixedRepo(b.profiles)+"-work", "."), cache.Options{})
	if err != nil {
		return 0, err
	}
	res, err := store.Get(ctx, o.Digest)
	if err != nil {
		return 0, err
	}
	ours := columns(res.Pick)
	if res.Pick.Expected == nil { // there are no tables
		gpus, err := dynamoGPUs(dir)
		if err == nil && (gpus != res.Pick.TotalGPUs || len(taken) > 0) {
			err = fmt.Errorf("ours fits into %d GPUs, Dynamo's takes %d: %v", res.Pick.TotalGPUs, gpus, taken)
		}
		return samePick, err
	}
	switch {
	case equal(ours, taken):
		return samePick, nil
	case wrong(taken) && !wrong(ours):
		return betterPick, nil
	}
	return 0, fmt.Errorf("ours takes %v, Dynamo %v", ours, taken)
}

// dynamoProfile has Dynamo answer one request. A refusal is no error.
func (b *bench) dynamoProfile(dir, text string) (usage, error) {
	spec, err := specOf(text, "")
	if err != nil {
		return usage{}, err
	}
	if err := writeFiles(dir, map[string][]byte{"spec.yaml": spec}); err != nil {
		return usage{}, err
	}
	p, err := b.dynamo("profile", filepath.Join(dir, "spec.yaml"), dir)
	if err != nil {
		return usage{}, err
	}
	start := time.Now()
	_, u, err := p.run()
	if err != nil {
		if _, statErr := os.Stat(filepath.Join(dir, "profiler_status.yaml")); statErr != nil {
			return usage{}, err
		}
		return usage{Wall: time.Since(start)}, nil
	}
	return u, nil
}

// dynamoRow is the row of AIConfigurator's table that Dynamo's profiler took; nil
// where it refused, empty where there is no table.
func dynamoRow(dir string) (map[string]any, error) {
	if _, err := os.Stat(filepath.Join(dir, "final_config.yaml")); err != nil {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(dir, "pick.json"))
	if err != nil {
		return nil, err
	}
	row := map[string]any{}
	return row, json.Unmarshal(data, &row)
}

// dynamoGPUs are those that the engines of Dynamo's deployment take together.
func dynamoGPUs(dir string) (int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "final_config.yaml"))
	if err != nil {
		return 0, err
	}
	docs, err := profile.Documents("final_config.yaml", data)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, doc := range docs {
		var d struct {
			Spec struct {
				Components []struct {
					Replicas    int
					PodTemplate struct {
						Spec struct {
							Containers []struct {
								Resources struct{ Limits map[string]string }
							}
						}
					} `yaml:"podTemplate"`
				}
			}
		}
		if err := doc.Root.Decode(&d); err != nil {
			return 0, err
		}
		for _, c := range d.Spec.Components {
			for _, container := range c.PodTemplate.Spec.Containers {
				gpus, _ := strconv.Atoi(container.Resources.Limits["nvidia.com/gpu"])
				total += max(c.Replicas, 1) * gpus
			}
		}
	}
	return total, nil
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
