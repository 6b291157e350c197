package render

import "github.com/dynamo-cmp/dynamo-cmp/profile"

// engine is how Dynamo starts a backend. The names and paths are those of its
// DGD templates (profiler/templates/dgd/<backend>/{agg,disagg}.yaml in 1.5.1).
type engine struct {
	module     string // python3 -m module
	workingDir string
	modelFlag  string // takes the model's path or id
	worker     string // component names by role
	prefill    string
	decode     string
	// ephemeral says that disaggregated workers request ephemeral storage too;
	// aggregated ones of every backend do.
	ephemeral bool
}

func engineOf(b profile.Backend) engine {
	switch b {
	case profile.BackendSGLang:
		return engine{
			module: "dynamo.sglang", workingDir: "/workspace/examples/backends/sglang", modelFlag: "--model-path",
			worker: "decode", prefill: "prefill", decode: "decode",
		}
	case profile.BackendTRTLLM:
		return engine{
			module: "dynamo.trtllm", workingDir: "/workspace/", modelFlag: "--model-path",
			worker: "TRTLLMWorker", prefill: "prefill", decode: "decode",
		}
	}
	return engine{
		module: "dynamo.vllm", workingDir: "/workspace/examples/backends/vllm", modelFlag: "--model",
		worker: "VllmDecodeWorker", prefill: "VllmPrefillWorker", decode: "VllmDecodeWorker", ephemeral: true,
	}
}

// component is the name of the component that plays a role.
func (e engine) component(role profile.RoleName) string {
	switch role {
	case profile.RolePrefill:
		return e.prefill
	case profile.RoleDecode:
		return e.decode
	}
	return e.worker
}
