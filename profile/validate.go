package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"regexp"
	"slices"
	"strings"
)

// validate holds every rule of Dynamo's webhook, schema and profiler that needs
// no cluster, and the ones of ours that keep a broken deployment from rendering.
func (d *decoder) validate(req *Request) {
	s := &req.Spec
	d.checkModel(s)
	d.checkModelCache(s.ModelCache)
	d.checkHardware("spec.hardware", s.Hardware)
	d.checkWorkload(s.Workload)
	d.checkSLA(s)
	d.checkImage(s)
	if s.SearchStrategy == StrategyThorough && s.Backend == BackendAuto && !d.hasProblem("spec.backend") {
		d.problem("spec.backend", "auto is for searchStrategy rapid; thorough needs one of vllm, sglang, trtllm")
	}
	d.checkProfilingJob(s.Overrides.ProfilingJob)
	d.checkDGDOverride(s.Overrides.DGD)
	d.checkFeatures(s)
	d.checkNameLength(req)
	d.adviseRequest(s)
}

// hasProblem reports whether something is already wrong at exactly that field,
// so that one mistake is said once.
func (d *decoder) hasProblem(p string) bool {
	p = written(d.renamed, p)
	return slices.ContainsFunc(d.problems, func(x Problem) bool { return x.Path == p })
}

// require reports a missing field, unless its value is wrong already.
func (d *decoder) require(p string) {
	if !d.hasProblem(p) {
		d.problem(p, "is required")
	}
}

// modelName is what Hugging Face and the engines' command lines both take.
var modelName = regexp.MustCompile(`^[A-Za-z0-9_/.~][A-Za-z0-9_/.~:@+=-]{0,255}$`)

func (d *decoder) checkModel(s *Spec) {
	switch {
	case s.Model == "":
		d.require("spec.model")
	case !modelName.MatchString(s.Model), climbs(s.Model):
		d.problem("spec.model", "must be a Hugging Face id such as Qwen/Qwen3-0.6B or a plain name, is %s", quote(s.Model))
	}
}

// climbs reports a path that leaves its parent.
func climbs(p string) bool { return slices.Contains(strings.Split(p, "/"), "..") }

func (d *decoder) checkModelCache(c *ModelCache) {
	const at = "spec.modelCache"
	if c == nil {
		return
	}
	switch {
	case c.PVCName == "":
		d.require(at + ".pvcName")
	case !subdomain.MatchString(c.PVCName) || len(c.PVCName) > maxKeyHost:
		d.problem(at+".pvcName", "must be the name of a PersistentVolumeClaim, is %s", quote(c.PVCName))
	}
	switch {
	case d.hasProblem(at + ".pvcModelPath"):
	case c.PVCModelPath == "":
		d.problem(at+".pvcModelPath", "is required: without it Dynamo serves a path that does not exist; set the model's directory in the claim")
	case climbs(c.PVCModelPath) || strings.ContainsAny(c.PVCModelPath, "\n\r\t\x00"):
		d.problem(at+".pvcModelPath", "must be a path inside the claim, is %s", quote(c.PVCModelPath))
	}
	m := c.PVCMountPath
	if !path.IsAbs(m) || path.Clean(m) == "/" || climbs(m) || strings.ContainsAny(m, ":\n\r\t\x00") {
		d.problem(at+".pvcMountPath", "must be an absolute path below / without .. and ':', is %s", quote(m))
	}
}

func (d *decoder) checkWorkload(w Workload) {
	const at = "spec.workload"
	isl, osl := float64(w.ISL), float64(w.OSL)
	d.positive(at+".isl", &isl)
	d.positive(at+".osl", &osl)
	d.positive(at+".concurrency", w.Concurrency)
	d.positive(at+".requestRate", w.RequestRate)
	if w.Concurrency != nil && w.RequestRate != nil {
		d.problem(d.later(at+".concurrency", at+".requestRate"), "concurrency and requestRate may not both be set; keep one")
	}
}

func (d *decoder) checkSLA(s *Spec) {
	const at = "spec.sla"
	sla := s.SLA
	d.positive(at+".ttft", sla.TTFTMillis)
	d.positive(at+".itl", sla.ITLMillis)
	d.positive(at+".e2eLatency", sla.E2ELatencyMillis)
	if sla.E2ELatencyMillis == nil {
		return
	}
	for _, name := range []string{"ttft", "itl"} {
		if d.has(at + "." + name) {
			d.problem(at+"."+name, "may not be set together with e2eLatency")
		}
	}
}

// later returns the one of two fields that stands further down.
func (d *decoder) later(a, b string) string {
	if d.at(a, "").Line > d.at(b, "").Line {
		return a
	}
	return b
}

func (d *decoder) positive(p string, v *float64) {
	if v != nil && *v <= 0 && !d.hasProblem(p) {
		d.problem(p, "must be positive, is %s", formatNumber(*v))
	}
}

// checkProfilingJob holds what the CRD requires of a batch/v1 JobSpec.
func (d *decoder) checkProfilingJob(job map[string]any) {
	const at = "spec.overrides.profilingJob"
	if job == nil {
		return
	}
	template, ok := job["template"].(map[string]any)
	if !ok {
		d.problem(at+".template", "is required and must be an object")
		return
	}
	spec, ok := template["spec"].(map[string]any)
	if !ok {
		d.problem(at+".template.spec", "is required and must be an object")
		return
	}
	if _, ok := spec["containers"].([]any); !ok {
		d.problem(at+".template.spec.containers", "is required and must be a list; write containers: []")
	}
	if t, given := spec["tolerations"]; given {
		if _, ok := t.([]any); !ok {
			d.problem(at+".template.spec.tolerations", "must be a list")
		}
	}
}

// longestComponent is the longest component name that Dynamo's templates give a
// backend; the profiler refuses a DGD name that leaves no room for it in 45
// characters (profiler/profile_sla.py).
func longestComponent(s *Spec) string {
	switch {
	case s.Features.Mocker:
		return "Frontend"
	case s.Backend == BackendSGLang:
		return "Frontend"
	case s.Backend == BackendTRTLLM:
		return "TRTLLMWorker"
	}
	return "VllmPrefillWorker"
}

const maxCombinedName = 45

// DGDName is the name of the deployment: that of overrides.dgd where it has one,
// else the request's with -dgd, as Dynamo's operator names it. A request name
// that is too long for that is cut and carries a hash of the whole.
func (r *Request) DGDName() string {
	meta, _ := r.Spec.Overrides.DGD["metadata"].(map[string]any)
	if name, _ := meta["name"].(string); name != "" {
		return name
	}
	const suffix = "-dgd"
	room := maxCombinedName - len(longestComponent(&r.Spec)) - len(suffix)
	if len(r.Name) <= room {
		return r.Name + suffix
	}
	sum := sha256.Sum256([]byte(r.Name))
	hash := "-" + hex.EncodeToString(sum[:4])
	return strings.TrimRight(r.Name[:room-len(hash)], "-.") + hash + suffix
}

// checkNameLength refuses a deployment name that the author chose and that leaves
// no room for a component's, and tells of one that was cut for it.
func (d *decoder) checkNameLength(req *Request) {
	const chosen = "spec.overrides.dgd.metadata.name"
	name, component := req.DGDName(), longestComponent(&req.Spec)
	if !d.has(chosen) {
		if name != req.Name+"-dgd" && req.Name != "" {
			d.warn("metadata.name", "is too long for the names that Dynamo makes of it; the deployment is called %s", name)
		}
		return
	}
	if n := len(name) + len(component); n > maxCombinedName && !d.hasProblem(chosen) {
		d.problem(chosen, "deployment name %s and component name %s have %d characters together, %d are allowed; shorten the name by %d",
			quote(name), component, n, maxCombinedName, n-maxCombinedName)
	}
}
