package render

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const trustFlag = "--trust-remote-code"

// modelPath is where engines find the weights: a path in the model cache, or the
// model's id.
func (a *assembly) modelPath() string {
	cache := a.req.Spec.ModelCache
	if cache == nil {
		return a.req.Spec.Model
	}
	return cachePath(cache.PVCMountPath, cache.PVCModelPath)
}

// cachePath resolves a model path in a claim as Dynamo does
// (profiler/utils/model_cache_paths.py): a path that already lies below the
// mount stays, any other is taken below it, with or without a leading slash.
func cachePath(mountPath, modelPath string) string {
	mountPath = path.Clean(mountPath)
	if clean := path.Clean(modelPath); clean == mountPath || strings.HasPrefix(clean, strings.TrimSuffix(mountPath, "/")+"/") {
		return clean
	}
	return path.Join(mountPath, modelPath)
}

// mountModelCache gives every component the model cache. It is writable, as in
// Dynamo: the Hugging Face library keeps its locks beside the weights.
func (a *assembly) mountModelCache() {
	cache := a.req.Spec.ModelCache
	if cache == nil {
		return
	}
	for _, c := range a.components {
		mount(c, cache.PVCMountPath, false, object{
			"name":                  volumeName(cache.PVCName),
			"persistentVolumeClaim": object{"claimName": cache.PVCName},
		})
	}
}

// volumeName is a claim's name as a volume may bear it: without dots, and not
// longer than a DNS label.
func volumeName(claim string) string {
	name := strings.ReplaceAll(claim, ".", "-")
	return strings.TrimRight(name[:min(len(name), 63)], "-")
}

// trustRemoteCode settles whether engines may run code that comes with the
// model. Weights on a claim are the cluster's own, so the flag is added; a model
// id may point at other code tomorrow, so the author has to say it (Dynamo
// refuses likewise, utils/dgd_materialization.py).
func (a *assembly) trustRemoteCode(dgd object) error {
	if !a.ans.Result.Model.CustomCode || a.pick.Backend == profile.BackendTRTLLM || a.req.Spec.Features.Mocker {
		return nil
	}
	var missing []string
	for _, c := range workersOf(dgd) {
		main := mainOf(c)
		args, _ := main["args"].([]any)
		if hasFlag(args, trustFlag) {
			continue
		}
		if a.req.Spec.ModelCache != nil {
			extend(main, "args", trustFlag)
			continue
		}
		name, _ := c["name"].(string)
		missing = append(missing, name)
	}
	if len(missing) == 0 {
		return nil
	}
	return a.problem("spec.model", "%q brings code of its own, which is not pinned; to let %s run it, %s:\n%s",
		a.req.Spec.Model, strings.Join(missing, " and "), "serve it from spec.modelCache or add under spec.overrides.dgd", trustOverride(missing))
}

// clampContext bounds a --max-model-len that an override brought to what the
// model can read: vLLM refuses to start with more.
func (a *assembly) clampContext(dgd object) {
	const flag = "--max-model-len"
	limit := a.ans.Result.Model.ContextLength
	if a.pick.Backend != profile.BackendVLLM || limit == 0 {
		return
	}
	for _, c := range workersOf(dgd) {
		main := mainOf(c)
		line := lineOf(main)
		length, ok := line.number(flag)
		if !ok || length <= limit {
			continue
		}
		line.replace(flag, strconv.Itoa(limit))
		main["args"] = list([]string(line))
		a.warnings = append(a.warnings, a.req.Problem("spec.overrides.dgd",
			fmt.Sprintf("%s %d of component %v is more than the model's context of %d, which is used", flag, length, c["name"], limit)))
	}
}

// trustOverride is the override that adds the flag, ready to paste.
func trustOverride(components []string) string {
	var b strings.Builder
	b.WriteString("\tapiVersion: nvidia.com/v1alpha1\n\tkind: DynamoGraphDeployment\n\tspec:\n\t  services:")
	for _, name := range components {
		fmt.Fprintf(&b, "\n\t    %s: {extraPodSpec: {mainContainer: {args: [%s]}}}", name, trustFlag)
	}
	return b.String()
}

func hasFlag(args []any, flag string) bool {
	for _, arg := range args {
		if s, _ := arg.(string); s == flag || strings.HasPrefix(s, flag+"=") {
			return true
		}
	}
	return false
}

// componentsOf returns the components of a DGD.
func componentsOf(dgd object) []object {
	spec, _ := dgd["spec"].(object)
	items, _ := spec["components"].([]any)
	var cs []object
	for _, item := range items {
		if c, ok := item.(object); ok {
			cs = append(cs, c)
		}
	}
	return cs
}

// workersOf returns the components that run engines.
func workersOf(dgd object) []object {
	var workers []object
	for _, c := range componentsOf(dgd) {
		switch c["type"] {
		case "worker", "prefill", "decode":
			workers = append(workers, c)
		}
	}
	return workers
}
