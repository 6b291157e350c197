package render

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// TestSingleEngine holds what is measured against what is shipped: the same component
// but for what makes it one of a pair.
func TestSingleEngine(t *testing.T) {
	for backend, want := range map[profile.Backend]struct{ prefill, decode, drop []string }{
		profile.BackendVLLM: {
			prefill: []string{"--no-enable-prefix-caching"}, decode: []string{"--enable-prefix-caching"},
			drop: []string{"--disaggregation-mode"},
		},
		profile.BackendSGLang: {
			prefill: []string{"--disable-radix-cache"},
			drop:    []string{"--disaggregation-mode", "--disaggregation-bootstrap-port"},
		},
		profile.BackendTRTLLM: {
			prefill: []string{"--trtllm.cache_transceiver_config", "none", "--trtllm.kv_cache_config.enable_block_reuse", "false", "--trtllm.disable_overlap_scheduler", "false"},
			decode:  []string{"--trtllm.cache_transceiver_config", "none", "--trtllm.kv_cache_config.enable_block_reuse", "true"},
			drop:    []string{"--disaggregation-mode"},
		},
	} {
		t.Run(string(backend), func(t *testing.T) {
			req, role := thoroughRequest(t, backend)
			shipped, err := DGD(req, Answer{Result: &profile.Result{Pick: profile.Pick{
				Mode: profile.Disaggregated, Backend: backend, TotalGPUs: 4, Roles: []profile.Role{role(profile.RolePrefill), role(profile.RoleDecode)},
			}}})
			require.NoError(t, err)
			for name, added := range map[profile.RoleName][]string{profile.RolePrefill: want.prefill, profile.RoleDecode: want.decode} {
				single, err := SingleEngine(req, profile.Model{}, role(name), "dpr-1")
				require.NoError(t, err)
				require.Equal(t, object{"name": "dpr-1"}, single["metadata"])
				components := componentsOf(single)
				require.Len(t, components, 2)
				frontend, engine := components[0], components[1]
				require.Equal(t, "Frontend", frontend["name"])

				expected := componentOf(t, shipped, string(name))
				line := lineOf(mainOf(expected))
				for _, flag := range want.drop {
					line.drop(flag)
				}
				mainOf(expected)["args"] = list(append(line, added...))
				expected["name"], expected["type"], expected["replicas"] = engineOf(backend).decode, "decode", int64(1)
				require.Equal(t, expected, engine, name)
			}
		})
	}
}

// An override reaches the engine whose component it names, under the names of the
// deployment that is shipped.
func TestSingleEngineOverride(t *testing.T) {
	req, role := thoroughRequest(t, profile.BackendVLLM)
	req.Spec.Overrides.DGD = map[string]any{
		"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "metadata": map[string]any{"name": "mine"},
		"spec": map[string]any{"services": map[string]any{"VllmPrefillWorker": map[string]any{
			"extraPodSpec": map[string]any{"mainContainer": map[string]any{"args": []any{"--block-size", "32"}}}}}},
	}
	prefill, err := SingleEngine(req, profile.Model{}, role(profile.RolePrefill), "dpr-1")
	require.NoError(t, err)
	require.Equal(t, object{"name": "dpr-1"}, prefill["metadata"])
	require.Subset(t, lineOf(mainOf(componentsOf(prefill)[1])), []string{"--block-size", "32"})
	decode, err := SingleEngine(req, profile.Model{}, role(profile.RoleDecode), "dpr-1")
	require.NoError(t, err)
	require.NotContains(t, lineOf(mainOf(componentsOf(decode)[1])), "--block-size")
}

// The prompt that a mixture of experts has cached lies with one rank of several.
func TestSingleEngineExperts(t *testing.T) {
	req, role := thoroughRequest(t, profile.BackendSGLang)
	decode, err := SingleEngine(req, profile.Model{MoE: true}, role(profile.RoleDecode), "dpr-1")
	require.NoError(t, err)
	line := lineOf(mainOf(componentsOf(decode)[1]))
	require.Equal(t, []string{"--load-balance-method", "round_robin"}, []string(line[len(line)-2:]))
}

// thoroughRequest is a request whose engines take two GPUs each, and its roles. Its
// planner is of no concern to a candidate.
func thoroughRequest(t *testing.T, backend profile.Backend) (*profile.Request, func(profile.RoleName) profile.Role) {
	t.Helper()
	docs, err := profile.Documents("dgdr.yaml", fmt.Appendf(nil, `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: qwen}
spec:
  model: Qwen/Qwen3-32B
  backend: %s
  image: nvcr.io/nvidia/ai-dynamo/dynamo-planner:1.5.1
  searchStrategy: thorough
  hardware: {gpuSku: h200_sxm, totalGpus: 8, numGpusPerNode: 8}
`, backend))
	require.NoError(t, err)
	req, err := profile.Parse(docs[0], profile.Defaults{})
	require.NoError(t, err)
	return req, func(name profile.RoleName) profile.Role {
		return profile.Role{
			Name: name, Replicas: 1, GPUsPerEngine: 2, Parallelism: profile.Parallelism{TP: 2, PP: 1, DP: 1, MoETP: 1, MoEEP: 1},
			Args: slices.Clone([]string{"--tensor-parallel-size", "2"}),
		}
	}
}

func componentOf(t *testing.T, dgd object, kind string) object {
	t.Helper()
	for _, c := range componentsOf(dgd) {
		if c["type"] == kind {
			return c
		}
	}
	require.Fail(t, "no component of type "+kind)
	return nil
}
