package main

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// trapRules are about DGDRs that are valid and yet not what they seem.
func trapRules() []lintRule {
	w := severityWarning
	return []lintRule{
		{id: "gpu-estimate-only", severity: w, about: "A rapid search has measured tables for the GPU",
			remedy: "take the result for a guess; searchStrategy: thorough measures"},
		{id: "gpu-naive-only", severity: w, about: "A rapid search knows the GPU",
			remedy: "take the result for a memory fit; searchStrategy: thorough measures"},
		{id: "gpu-remainder", severity: w, about: "The GPU budget is whole nodes, or less than one",
			remedy: "make totalGpus a multiple of numGpusPerNode"},
		{id: "thorough-total-gpus", severity: w, about: "A thorough search says in the DGDR how many GPUs it may take",
			remedy: "set spec.hardware.totalGpus"},
		{id: "thorough-trtllm", severity: w, about: "A thorough search is one that Dynamo's own profiler can do",
			remedy: "leave it to dynamo-profile-runner; for Dynamo's operator take vllm or sglang"},
		{id: "image-latest", severity: w, about: "An image's tag does not move",
			remedy: "use a version tag"},
		{id: "placeholder", severity: w, about: "A value is no placeholder of an example",
			remedy: "put the real value there"},
		{id: "model-cache-model", severity: w, about: "A model cache holds the model of the DGDR",
			remedy: "correct spec.model or spec.modelCache.pvcModelPath"},
		{id: "model-cache-snapshot", severity: w, about: "A snapshot in a model cache is named by a whole commit",
			remedy: "name the 40 digits that the claim holds under snapshots/"},
		{id: "sla-unit", severity: w, about: "Latencies are in milliseconds",
			remedy: "multiply by 1000 if it is meant in seconds"},
		{id: "old-api-version", severity: w, about: "A DGDR is written in nvidia.com/v1beta1",
			remedy: "write it in v1beta1, in which autoApply is true by default"},
		{id: "dropped-request", severity: w, about: "A DGDR beside a kustomization is built by it",
			remedy: "list the file under resources, or delete it"},
	}
}

// traps are those that a valid DGDR steps into.
func (l *linter) traps(req *profile.Request) {
	s := &req.Spec
	at := func(rule, path, format string, args ...any) {
		l.broken(rule, req.Problem(path, fmt.Sprintf(format, args...)))
	}
	l.gpuTraps(req, at)
	if s.SearchStrategy == profile.StrategyThorough && s.Backend == profile.BackendTRTLLM {
		at("thorough-trtllm", "spec.backend", "Dynamo 1.5's own thorough search finds no engine of trtllm for a model with experts")
	}
	if tagOf(s.Image) == "latest" {
		at("image-latest", "spec.image", "tag latest is another image after the next push")
	}
	l.cacheTraps(req, at)
	for _, target := range []struct {
		name  string
		value *float64
		least float64 // ms, below which no engine answers
	}{{"ttft", s.SLA.TTFTMillis, 5}, {"itl", s.SLA.ITLMillis, 0.5}, {"e2eLatency", s.SLA.E2ELatencyMillis, 50}} {
		if target.value != nil && *target.value < target.least {
			at("sla-unit", "spec.sla."+target.name, "is in milliseconds: no engine answers in %s ms", number(*target.value))
		}
	}
}

type atField func(rule, path, format string, args ...any)

func (l *linter) gpuTraps(req *profile.Request, at atField) {
	s := &req.Spec
	h := s.Hardware
	if s.SearchStrategy == profile.StrategyThorough {
		if !req.Says("spec.hardware.totalGpus") {
			at("thorough-total-gpus", "spec.searchStrategy", "thorough deploys candidates on the %d GPUs that the hardware file names for all", h.TotalGPUs)
		}
	} else if c := profile.Attainable(h.GPUSKU); c == profile.Estimated {
		at("gpu-estimate-only", "spec.hardware.gpuSku", "AIConfigurator has no measured tables for %s: a result is estimated at best, and Dynamo 1.5 falls back to a memory fit", h.GPUSKU)
	} else if c == profile.Naive {
		at("gpu-naive-only", "spec.hardware.gpuSku", "AIConfigurator does not know %s: a result is a memory fit, and its SLA unverified", h.GPUSKU)
	}
	if h.TotalGPUs > h.GPUsPerNode && h.TotalGPUs%h.GPUsPerNode != 0 {
		at("gpu-remainder", "spec.hardware.totalGpus", "%d GPUs are no whole nodes of %d", h.TotalGPUs, h.GPUsPerNode)
	}
}

// What a Hugging Face cache calls a model's directory and a snapshot of it.
var (
	cacheFolder = regexp.MustCompile(`(?:^|/)models--([^/]+)`)
	snapshot    = regexp.MustCompile(`/snapshots/([^/]*)`)
	commit      = regexp.MustCompile(`^[0-9a-f]{40}$`)
	placeholder = regexp.MustCompile(`<[^<>]+>`)
)

func (l *linter) cacheTraps(req *profile.Request, at atField) {
	c := req.Spec.ModelCache
	if c == nil {
		return
	}
	const field = "spec.modelCache.pvcModelPath"
	if m := cacheFolder.FindStringSubmatch(c.PVCModelPath); m != nil {
		if model := strings.ReplaceAll(m[1], "--", "/"); model != req.Spec.Model && strings.Contains(req.Spec.Model, "/") {
			at("model-cache-model", field, "holds %s, and the DGDR is for %s", model, req.Spec.Model)
		}
	}
	switch m := snapshot.FindStringSubmatch(c.PVCModelPath); {
	case placeholder.MatchString(c.PVCModelPath):
		at("placeholder", field, "still holds %s", placeholder.FindString(c.PVCModelPath))
	case m != nil && !commit.MatchString(m[1]):
		at("model-cache-snapshot", field, "snapshot %q is no commit", m[1])
	}
}

// tagOf is the tag of an image reference, empty without one.
func tagOf(image string) string {
	last := image[strings.LastIndex(image, "/")+1:]
	last, _, _ = strings.Cut(last, "@")
	_, tag, _ := strings.Cut(last, ":")
	return tag
}

// configTraps looks at the images of a DynamoCMPConfig.
func (l *linter) configTraps(c *profile.Config) {
	images := map[string]string{}
	if c.Download != nil {
		images["spec.modelCache.download.image"] = c.Download.Image
	}
	if c.Benchmark != nil {
		images["spec.benchmark.image"] = c.Benchmark.Image
	}
	for field, image := range images {
		if tagOf(image) == "latest" {
			l.broken("image-latest", c.Problem(field, "tag latest is another image after the next push"))
		}
	}
}

// dropped are the DGDRs that stand beside a kustomization and that it does not build.
// What it names outside of resources is a patch or a component's.
func (l *linter) dropped(docs []profile.Document, kustomization []byte, built []*profile.Request) {
	var k struct{ Resources []string }
	if yaml.Unmarshal(kustomization, &k) != nil {
		return // loading said so
	}
	for _, d := range docs {
		base := path.Base(d.File)
		listed := slices.ContainsFunc(k.Resources, func(r string) bool { return path.Clean(r) == base })
		if !d.IsRequest() || slices.ContainsFunc(built, func(r *profile.Request) bool { return r.File == d.File && r.Document == d.Index }) ||
			!listed && bytes.Contains(kustomization, []byte(base)) {
			continue
		}
		why := "the kustomization of its directory does not name its file"
		if listed {
			why = "the kustomization deletes it"
		}
		l.broken("dropped-request", profile.Problem{File: d.File, Line: d.Line, Message: fmt.Sprintf("DGDR %q is not rendered: %s", d.Name, why)})
	}
}
