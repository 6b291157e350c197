package render

import (
	_ "embed"
	"math"
	"strconv"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

//go:embed workload/benchmark.py
var benchmarkScript string

// benchmark is a Job that Argo CD runs after a sync: the workload of the request,
// measured by AIPerf and held against the SLA of the request. A new result for the
// same request is measured anew.
func (a *assembly) benchmark() object {
	config := a.req.Config.Benchmark
	a.adviseBenchmark()
	flags := append([]string{"python3", "-c", benchmarkScript}, a.aiperf()...)
	env := []any{
		object{"name": "DEPLOYMENT", "valueFrom": object{"fieldRef": object{"fieldPath": "metadata.annotations['" + deploymentNote + "']"}}},
		object{"name": "ENDPOINT", "value": "http://$(DEPLOYMENT)-frontend:8000"},
		object{"name": "MODEL", "value": a.req.Spec.Model},
		object{"name": "WAIT_SECONDS", "value": "1800"},
		object{"name": "TOLERANCE", "value": decimal(config.Tolerance)},
		object{"name": "HOME", "value": "/tmp"},
	}
	sla := a.req.Spec.SLA
	for _, t := range []struct {
		name   string
		millis *float64
	}{{"TTFT_MS", sla.TTFTMillis}, {"ITL_MS", sla.ITLMillis}, {"E2E_MS", sla.E2ELatencyMillis}} {
		if t.millis != nil {
			env = append(env, object{"name": t.name, "value": decimal(*t.millis)})
		}
	}
	container := object{"image": config.Image, "command": list(flags)}
	var volumes []any
	if cache := a.req.Spec.ModelCache; cache != nil {
		name := volumeName(cache.PVCName)
		container["volumeMounts"] = []any{object{"name": name, "mountPath": cache.PVCMountPath, "readOnly": true}}
		volumes = []any{object{"name": name, "persistentVolumeClaim": object{"claimName": cache.PVCName}}}
	} else { // the tokenizer comes from Hugging Face
		env = append(env, object{"name": "HF_TOKEN", "valueFrom": object{"secretKeyRef": object{"name": secretName, "key": "HF_TOKEN"}}})
	}
	container["env"] = env
	hook := object{"argocd.argoproj.io/hook": "PostSync", "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation"}
	pod := object{deploymentNote: a.name}
	if a.ans.Digest != "" {
		pod[annotationPrefix+"result"] = a.ans.Digest
	}
	// Hooks are not pruned, so that one of another name goes by its age.
	spec := object{"backoffLimit": int64(0), "activeDeadlineSeconds": int64(4 * 3600), "ttlSecondsAfterFinished": int64(7 * 24 * 3600)}
	return a.job("benchmark", hook, spec, pod, container, volumes...)
}

func (a *assembly) adviseBenchmark() {
	sla := a.req.Spec.SLA
	if sla.TTFTMillis == nil && sla.ITLMillis == nil && sla.E2ELatencyMillis == nil {
		a.warnings = append(a.warnings, a.req.Config.Problem("spec.benchmark",
			"measures "+a.req.Name+" and judges nothing, as that has no spec.sla"))
	}
}

// aiperf is the flags for the workload: tokens exactly as long as asked for, ten
// rounds of the concurrency or two minutes of the rate.
func (a *assembly) aiperf() []string {
	w := a.req.Spec.Workload
	isl, osl := strconv.Itoa(w.ISL), strconv.Itoa(w.OSL)
	flags := []string{
		"--tokenizer", a.modelPath(), "--endpoint-type", "chat", "--endpoint", "/v1/chat/completions", "--streaming", "--ui", "none",
		"--synthetic-input-tokens-mean", isl, "--synthetic-input-tokens-stddev", "0",
		"--output-tokens-mean", osl, "--output-tokens-stddev", "0",
		"--extra-inputs", "ignore_eos:true", "--extra-inputs", "max_tokens:" + osl, "--extra-inputs", "min_tokens:" + osl,
		"--warmup-request-count", "3", "--random-seed", "100", "--request-timeout-seconds", "1800",
	}
	if rate := w.RequestRate; rate != nil {
		return append(flags, "--request-rate", decimal(*rate), "--request-count", count10(*rate*120))
	}
	concurrency := a.concurrency()
	return append(flags, "--concurrency", strconv.Itoa(int(math.Ceil(concurrency))), "--request-count", count10(math.Ceil(concurrency)*10))
}

// count10 is a number of requests, ten at least.
func count10(requests float64) string {
	return strconv.Itoa(int(math.Ceil(max(requests, 10))))
}

// concurrency is what the request asks for, or what the pick is expected to bear,
// or one.
func (a *assembly) concurrency() float64 {
	if c := a.req.Spec.Workload.Concurrency; c != nil {
		return *c
	}
	if a.pick.Expected == nil {
		return 1
	}
	first := a.pick.Roles[0]
	units := first.Replicas
	if a.pick.Mode == profile.Disaggregated {
		units = max(1, first.Replicas/max(1, first.WorkersPerReplica))
	}
	return max(1, a.pick.Expected.Concurrency*float64(units))
}
