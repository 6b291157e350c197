package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const (
	compilationSuffix = "-compilation-cache"
	compilationPath   = "/opt/compilation-cache"
	// queueAnnotation is where the operator looks for the KAI queue of a deployment.
	queueAnnotation = "nvidia.com/kai-scheduler-queue"
)

// equip prepares a generated deployment for what a DynamoCMPConfig puts around it,
// before overrides, which may change all of it.
func (a *assembly) equip(dgd object) error {
	if caps := a.req.Capabilities; caps != nil && a.pick.Mode == profile.Disaggregated && !slices.Contains(caps, profile.RDMA) {
		a.warnings = append(a.warnings, a.req.Problem("", "prefill and decode exchange the KV cache, and hardware.yaml lists no rdma: over TCP that is slow"))
	}
	config := a.req.Config
	if config == nil {
		return nil
	}
	if config.Queue != "" {
		meta := dgd["metadata"].(object)
		annotations, _ := meta["annotations"].(object)
		if annotations == nil {
			annotations = object{}
			meta["annotations"] = annotations
		}
		annotations[queueAnnotation] = config.Queue
	}
	if secrets := a.pullSecrets(); len(secrets) > 0 {
		for _, c := range componentsOf(dgd) {
			podOf(c)["imagePullSecrets"] = copyTree(secrets)
		}
	}
	if config.CompilationCache != nil {
		a.cacheCompilation(dgd)
	}
	if len(config.Adapters) > 0 {
		return a.serveAdapters(dgd)
	}
	return nil
}

func (a *assembly) pullSecrets() []any {
	var secrets []any
	for _, name := range a.req.Config.ImagePullSecrets {
		secrets = append(secrets, object{"name": name})
	}
	return secrets
}

// cacheCompilation keeps the kernels that TensorRT-LLM compiles at its start. The
// operator mounts the claim, and sets no variable for this backend.
func (a *assembly) cacheCompilation(dgd object) {
	if a.pick.Backend != profile.BackendTRTLLM {
		a.warnings = append(a.warnings, a.req.Config.Problem("spec.compilationCache",
			fmt.Sprintf("is for TensorRT-LLM, and %s runs %s without it", a.req.Name, a.pick.Backend)))
		return
	}
	for _, c := range workersOf(dgd) {
		c["compilationCache"] = object{"pvcName": a.name + compilationSuffix, "mountPath": compilationPath}
		for _, v := range []struct{ name, dir string }{
			{"FLASHINFER_WORKSPACE_BASE", "flashinfer"}, {"TORCHINDUCTOR_CACHE_DIR", "inductor"},
			{"TRITON_CACHE_DIR", "triton"}, {"TRTLLM_DG_CACHE_DIR", "deep-gemm"},
		} {
			extend(mainOf(c), "env", object{"name": v.name, "value": compilationPath + "/" + v.dir})
		}
	}
}

// serveAdapters lets engines load LoRA adapters, and the operator find the engines
// of the model.
func (a *assembly) serveAdapters(dgd object) error {
	if a.pick.Backend != profile.BackendVLLM {
		return profile.Problems{a.req.Config.Problem("spec.loraAdapters", fmt.Sprintf(
			"Dynamo serves adapters with vllm, and %s runs %s; to have adapters, set spec.backend: vllm there", a.req.Name, a.pick.Backend))}
	}
	for _, c := range workersOf(dgd) {
		c["modelRef"] = object{"name": a.req.Spec.Model}
		main := mainOf(c)
		extend(main, "args", "--enable-lora")
		extend(main, "env", object{"name": "DYN_LORA_ENABLED", "value": "true"}, object{"name": "DYN_LORA_PATH", "value": "/tmp/dynamo_loras"})
	}
	return nil
}

// mirror rewrites the images of a deployment to where the cluster pulls from.
func (a *assembly) mirror(dgd object) {
	if a.req.Config == nil || len(a.req.Config.Registries) == 0 {
		return
	}
	for _, c := range componentsOf(dgd) {
		pod := podOf(c)
		for _, container := range append(objects(pod["containers"]), objects(pod["initContainers"])...) {
			if image, ok := container["image"].(string); ok {
				container["image"] = a.mirrored(image)
			}
		}
	}
}

// mirrored is an image by the longest prefix that a config replaces.
func (a *assembly) mirrored(image string) string {
	for _, r := range a.req.Config.Registries {
		rest, ok := strings.CutPrefix(image, r.From)
		if ok && (rest == "" || strings.ContainsRune("/:@", rune(rest[0]))) {
			return r.To + rest
		}
	}
	return image
}
