package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
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
  sla: {ttft: 2000.0, itl: 50.0}
%s`, i, models[(i/5)%len(models)], backends[i%len(backends)], systems[i%len(systems)], 2000+100*(i/15), planner))
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
	out, took, err := ours.run()
	all, parseErr := outcomes(out)
	if parseErr != nil {
		return fmt.Errorf("%w: %w", err, parseErr)
	}
	var theirs usage
	refused, same := 0, 0
	for i, text := range requests {
		dir := filepath.Join(b.scratch, fmt.Sprintf("dynamo-%02d", i))
		u, answered, err := b.dynamoProfile(dir, text)
		if err != nil {
			return err
		}
		theirs.Wall, theirs.CPU, theirs.Peak = theirs.Wall+u.Wall, theirs.CPU+u.CPU, max(theirs.Peak, u.Peak)
		if !answered || all[i].Digest == "" {
			refused++
			if answered != (all[i].Digest != "") {
				fmt.Fprintf(os.Stderr, "request %d: Dynamo answers: %v, ours: %s\n%s", i, answered, all[i].Error, text)
			}
			continue
		}
		equal, err := b.samePick(ctx, repo+"-work", all[i].Digest, dir)
		if err != nil {
			return err
		}
		if equal {
			same++
		} else {
			fmt.Fprintf(os.Stderr, "request %d has another pick:\n%s", i, text)
		}
	}
	if same+refused < n {
		return fmt.Errorf("%d of %d picks differ", n-same-refused, n)
	}
	if b.short {
		return nil
	}
	b.report.add(row{Work: "mixed rapid requests", N: n, Tool: "dynamo-profile-runner run --jobs 2", Runs: 1, Usage: took})
	b.report.add(row{Work: "mixed rapid requests", N: n, Tool: "Dynamo's profiler, one after the other", Runs: 1, Usage: theirs})
	b.report.goal(theirs.Wall >= 4*took.Wall, fmt.Sprintf("%d mixed rapid requests: at least 4x faster than Dynamo's profiler, with the same picks", n),
		"%s as fast; %d picks equal, %d refused by one or both", times(float64(theirs.Wall)/float64(took.Wall)), same, refused)
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

// samePick holds our pick against the row that Dynamo's profiler took.
func (b *bench) samePick(ctx context.Context, repo string, digest cache.Digest, dir string) (bool, error) {
	store, err := cache.Open(cache.Embedded(repo, "."), cache.Options{})
	if err != nil {
		return false, err
	}
	res, err := store.Get(ctx, digest)
	if err != nil {
		return false, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "pick.json"))
	if err != nil {
		return false, err
	}
	row := map[string]any{}
	if err := json.Unmarshal(data, &row); err != nil {
		return false, err
	}
	for column, value := range columns(res.Pick) {
		if row[column] != value {
			fmt.Fprintf(os.Stderr, "%s is %v, Dynamo's is %v\n", column, value, row[column])
			return false, nil
		}
	}
	return true, nil
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
