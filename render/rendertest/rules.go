package rendertest

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// golden is one case being compared: rules edit want.
type golden struct {
	spec      map[string]any
	want, got *documents
}

// rule is one deviation. apply edits the golden's documents into what we emit
// and reports whether there was anything to edit.
type rule struct {
	name  string
	apply func(*golden) bool
}

func rules() []rule {
	return append([]rule{
		{"disaggregation-role", disaggregationRole},
		{"kv-connector-on-decode", kvConnector},
		{"cuda-graph-sizes", cudaGraphSizes},
		{"engine-gpus", engineGPUs},
		{"kv-events", kvEvents},
		{"profiling-job-tolerations", tolerations},
		{"runtime-version", runtimeVersion},
		{"scaling-adapter", scalingAdapter},
		{"planner-replicas", plannerReplicas},
		{"server-side-apply", serverSideApply},
		{"conversion-leftovers", leftovers},
	}, plannerRules()...)
}

// disaggregationRole: SGLang and TensorRT-LLM pools know their role.
func disaggregationRole(g *golden) (fired bool) {
	for _, c := range g.want.components("prefill", "decode") {
		args, role := argsOf(c), c["type"].(string)
		i := slices.Index(args, "--model-path")
		if !usesBackend(c, "sglang", "trtllm") || i < 0 || slices.Contains(args, "--disaggregation-mode") || isAggregated(g.want) {
			continue
		}
		flags := []string{"--disaggregation-mode", role}
		if usesBackend(c, "sglang") {
			flags = append(flags, "--disaggregation-bootstrap-port", "12345", "--host", "0.0.0.0")
		}
		setArgs(c, slices.Insert(args, i, flags...))
		fired = true
	}
	return fired
}

// kvConnector: vLLM decode has the connector that prefill has.
func kvConnector(g *golden) (fired bool) {
	for _, c := range g.want.components("decode") {
		args := argsOf(c)
		i := slices.Index(args, "--disaggregation-mode")
		if !usesBackend(c, "vllm") || i < 0 || slices.Contains(args, "--kv-transfer-config") {
			continue
		}
		setArgs(c, slices.Insert(args, i+2, "--kv-transfer-config", `{"kv_connector":"NixlConnector","kv_role":"kv_both"}`))
		fired = true
	}
	return fired
}

// cudaGraphSizes: SGLang's list is sorted, without repeats.
func cudaGraphSizes(g *golden) (fired bool) {
	for _, c := range g.want.workers() {
		args := argsOf(c)
		from := slices.Index(args, "--cuda-graph-bs") + 1
		if from == 0 {
			continue
		}
		to := from
		var sizes []int
		for ; to < len(args) && !strings.HasPrefix(args[to], "--"); to++ {
			n, _ := strconv.Atoi(args[to])
			sizes = append(sizes, n)
		}
		before := slices.Clone(sizes)
		slices.Sort(sizes)
		sizes = slices.Compact(sizes)
		if slices.Equal(before, sizes) {
			continue
		}
		var texts []string
		for _, n := range sizes {
			texts = append(texts, strconv.Itoa(n))
		}
		setArgs(c, slices.Replace(args, from, to, texts...))
		fired = true
	}
	return fired
}

// engineGPUs: attention DP shares the GPUs of TP, and the nodes follow.
func engineGPUs(g *golden) (fired bool) {
	node, _ := dig(g.spec, "hardware")["numGpusPerNode"].(int)
	for _, c := range g.want.workers() {
		args := argsOf(c)
		if !slices.Contains(args, "--enable-dp-attention") && !slices.Contains(args, "--enable-attention-dp") {
			continue
		}
		gpus := value(args, "--tensor-parallel-size") * value(args, "--pipeline-parallel-size")
		want := strconv.Itoa(min(gpus, node))
		for _, kind := range []string{"limits", "requests"} {
			amounts := dig(mainOf(c), "resources", kind)
			if have, ok := amounts["nvidia.com/gpu"]; ok && have != want {
				amounts["nvidia.com/gpu"] = want
				fired = true
			}
		}
	}
	return fired
}

// kvEvents: engines publish what the KV router routes by.
func kvEvents(g *golden) bool {
	if dig(g.spec, "features", "kvRouter")["enabled"] != true {
		return false
	}
	for _, c := range g.want.workers() {
		setArgs(c, append(argsOf(c), "--kv-events-config",
			`{"publisher":"zmq","topic":"kv-events","endpoint":"tcp://*:20080","enable_kv_cache_events":true}`))
	}
	return true
}

// tolerations of the profiling Job stay with the Job.
func tolerations(g *golden) (fired bool) {
	job := dig(g.spec, "overrides", "profilingJob", "template", "spec")["tolerations"]
	if job == nil {
		return false
	}
	for _, c := range g.want.components() {
		pod := dig(c, "podTemplate", "spec")
		if reflect.DeepEqual(pod["tolerations"], job) {
			delete(pod, "tolerations")
			fired = true
		}
	}
	return fired
}

// runtimeVersion: an image whose tag is no version needs the override, which
// Versioned adds to the request.
func runtimeVersion(g *golden) bool {
	image, _ := g.spec["image"].(string)
	if strings.HasSuffix(image, ":1.5.1") {
		return false
	}
	for _, c := range g.want.components() {
		c["runtimeVersionOverride"] = "1.5.1"
	}
	return true
}

// scalingAdapter is a marker without properties in v1beta1.
func scalingAdapter(g *golden) (fired bool) {
	for _, c := range g.want.components() {
		if adapter := dig(c, "scalingAdapter"); adapter["enabled"] == true {
			delete(adapter, "enabled")
			fired = true
		}
	}
	return fired
}

// plannerReplicas: what the planner scales is not in Git.
func plannerReplicas(g *golden) (fired bool) {
	for _, c := range g.want.components() {
		if dig(c, "scalingAdapter") != nil {
			delete(c, "replicas")
			fired = true
		}
	}
	return fired
}

// serverSideApply is asked for wherever the planner scales.
func serverSideApply(g *golden) bool {
	if !slices.ContainsFunc(g.want.components(), func(c map[string]any) bool { return dig(c, "scalingAdapter") != nil }) {
		return false
	}
	meta := dig(g.want.dgd, "metadata")
	if meta["annotations"] == nil {
		meta["annotations"] = map[string]any{}
	}
	dig(meta, "annotations")["argocd.argoproj.io/sync-options"] = "ServerSideApply=true"
	return true
}

// leftovers of the conversion to v1alpha1 and back are not part of a manifest.
func leftovers(g *golden) bool {
	_, status := g.want.dgd["status"]
	delete(g.want.dgd, "status")
	annotations := dig(g.want.dgd, "metadata", "annotations")
	_, spec := annotations["nvidia.com/dgd-spec"]
	delete(annotations, "nvidia.com/dgd-spec")
	if annotations != nil && len(annotations) == 0 {
		delete(dig(g.want.dgd, "metadata"), "annotations")
	}
	return status || spec
}

func usesBackend(component map[string]any, backends ...string) bool {
	command, _ := mainOf(component)["command"].([]any)
	return slices.ContainsFunc(backends, func(b string) bool {
		return slices.Contains(command, any("dynamo."+b))
	})
}

// isAggregated: the planner calls the one worker of an aggregated deployment
// decode.
func isAggregated(d *documents) bool {
	return len(d.components("prefill")) == 0
}
