package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const (
	// maxGroveName bounds what the operator derives from the names of a
	// deployment and a component under Grove. profile.Parse holds the sum alone.
	maxGroveName = 45
	// minGroveName is how short the operator cuts a DGD name in Grove's names.
	minGroveName = 8
	// maxConfigMap leaves room for metadata below the API server's 1 MiB.
	maxConfigMap = 1<<20 - 16<<10
)

// check holds what the API server, Dynamo's webhooks and the GPU budget ask of
// the documents. All faults are reported.
func (a *assembly) check(objs []object) error {
	problems := a.checkReferences(objs)
	for _, obj := range objs {
		for _, f := range metadataFaults(obj) {
			kind, _ := obj["kind"].(string)
			if kind == "" { // the view of a deployment
				kind = deploymentKind
			}
			problems = append(problems, a.req.Problem("", fmt.Sprintf("%s: %s: %s", kind, f.path, f.message)))
		}
	}
	dgd := objs[len(objs)-1]
	gpus := 0
	at := "spec.overrides.dgd"
	if a.patched {
		at = ""
	}
	for _, c := range componentsOf(dgd) {
		name, _ := c["name"].(string)
		if p := a.checkName(dgd, c, name); p != "" {
			problems = append(problems, a.req.Problem("metadata.name", p))
		}
		n, p := gpusOf(c)
		if p != "" {
			problems = append(problems, a.req.Problem(at, fmt.Sprintf("component %s: %s", name, p)))
		}
		gpus += n
	}
	// A planner has its own budget, and warns where the pick takes more.
	if budget := a.req.Spec.Hardware.TotalGPUs; a.planner == nil && gpus > budget {
		problems = append(problems, a.req.Problem("spec.hardware.totalGpus",
			fmt.Sprintf("the deployment takes %d GPUs, more than the %d of the budget", gpus, budget)))
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// checkName holds the length rules of Grove's names, which the operator builds
// from those of the deployment and the component. A cluster without Grove has none.
func (a *assembly) checkName(dgd, c object, component string) string {
	meta, _ := dgd["metadata"].(object)
	annotations, _ := meta["annotations"].(object)
	caps := a.req.Capabilities
	if annotations["nvidia.com/enable-grove"] == "false" || caps != nil && !slices.Contains(caps, profile.Grove) {
		return ""
	}
	taken, sum := len(component), fmt.Sprint(len(component))
	if _, multinode := c["multinode"]; multinode { // its group and its leader bear it
		taken, sum = 2*len(component)+len("-ldr"), fmt.Sprintf("2 x %d + 4", len(component))
	}
	name, _ := meta["name"].(string)
	least := min(len(name), minGroveName)
	if least+taken <= maxGroveName {
		return ""
	}
	return fmt.Sprintf("Grove allows %d characters, of which component %q takes %d (%s): that leaves %d for the name of the deployment, and %q has %d, "+
		"of which the operator keeps %d at least; to deploy it, choose a shorter one in spec.overrides.dgd.metadata.name, or set the annotation nvidia.com/enable-grove: \"false\" there",
		maxGroveName, component, taken, sum, max(maxGroveName-taken, 0), name, len(name), least)
}

// gpusOf counts the GPUs of a component's replicas; the planner's own replicas
// count as one.
func gpusOf(c object) (gpus int, problem string) {
	resources, _ := mainOf(c)["resources"].(object)
	limits, _ := resources["limits"].(object)
	requests, _ := resources["requests"].(object)
	limit, requested := quantity(limits), quantity(requests)
	if requested != "" && requested != limit {
		return 0, fmt.Sprintf("resources request %s GPUs and limit %s, which must be equal", requested, limit)
	}
	if limit == "" {
		return 0, ""
	}
	gpus, err := strconv.Atoi(limit)
	if err != nil || gpus < 0 {
		return 0, fmt.Sprintf("a GPU count is a whole number, is %q", limit)
	}
	multinode, _ := c["multinode"].(object)
	return gpus * count(c["replicas"]) * count(multinode["nodeCount"]), ""
}

// count is a number of a JSON tree; 1 where there is none.
func count(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	}
	return 1
}

func quantity(resources object) string {
	v, ok := resources[gpuResource]
	if !ok {
		return ""
	}
	return strings.TrimSpace(fmt.Sprint(v))
}

// checkReferences holds that every ConfigMap of ours that the deployment mounts
// is one that we print, and that each fits into the API server.
func (a *assembly) checkReferences(objs []object) profile.Problems {
	var problems profile.Problems
	fault := func(format string, args ...any) {
		problems = append(problems, a.req.Problem("spec.features.planner", fmt.Sprintf(format, args...)))
	}
	have := map[any]bool{}
	for _, obj := range objs[:len(objs)-1] {
		if obj["kind"] != "ConfigMap" {
			continue
		}
		meta, _ := obj["metadata"].(object)
		have[meta["name"]] = true
		size := 0
		for key, value := range obj["data"].(object) {
			size += len(key) + len(value.(string))
		}
		if size > maxConfigMap {
			fault("ConfigMap %v is %d bytes, more than the %d allowed", meta["name"], size, maxConfigMap)
		}
	}
	for _, c := range componentsOf(objs[len(objs)-1]) {
		volumes, _ := podOf(c)["volumes"].([]any)
		for _, item := range volumes {
			volume, _ := item.(object)
			cm, _ := volume["configMap"].(object)
			if name, _ := cm["name"].(string); strings.Contains(name, a.name+"-planner-") && !have[name] {
				fault("component %v mounts ConfigMap %q, which is not generated", c["name"], name)
			}
		}
	}
	return problems
}
