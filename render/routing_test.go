package render_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// renderOf renders one DGDR, answered by the result of an archive of testdata, and
// returns the containers called main by component.
func renderOf(t *testing.T, dgdr, archive string) (map[string]mainContainer, profile.Problems) {
	t.Helper()
	dir := write(t, map[string]string{".git/HEAD": "", "dgdr.yaml": dgdr})
	out, warnings, err := build(t, dir, answering(t, archive))
	require.NoError(t, err)
	var dgd struct {
		Spec struct {
			Components []struct {
				Name        string
				PodTemplate struct {
					Spec struct{ Containers []mainContainer }
				} `yaml:"podTemplate"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(out, &dgd))
	mains := map[string]mainContainer{}
	for _, c := range dgd.Spec.Components {
		mains[c.Name] = c.PodTemplate.Spec.Containers[0]
	}
	return mains, warnings
}

type mainContainer struct {
	Args []string
	Env  []struct{ Name, Value string }
}

func (c mainContainer) variable(name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// The frontend routes by KV, and every engine says what it has cached.
func TestKVRouterOnBothSides(t *testing.T) {
	const zmq = `--kv-events-config {"publisher":"zmq","topic":"kv-events","endpoint":"tcp://*:20080"`
	for _, c := range []struct {
		backend, archive, events string
		workers                  []string
	}{
		{"vllm", "vllm_agg", zmq + `,"enable_kv_cache_events":true}`, []string{"VllmDecodeWorker"}},
		{"vllm", "vllm_disagg_planner", zmq + `,"enable_kv_cache_events":true}`, []string{"VllmDecodeWorker", "VllmPrefillWorker"}},
		{"sglang", "sglang_disagg_multinode", zmq + "}", []string{"prefill", "decode"}},
		{"trtllm", "trtllm_disagg_kvrouter", "--publish-kv-events", []string{"prefill", "decode"}},
	} {
		for _, version := range []string{"1.5.1", "1.6.1"} {
			t.Run(c.archive+" "+version, func(t *testing.T) {
				mains, warnings := renderOf(t, fmt.Sprintf(`apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: m}
spec:
  model: m
  backend: %s
  image: nvcr.io/nvidia/ai-dynamo/dynamo-planner:%s
  hardware: {gpuSku: h200_sxm, totalGpus: 64, numGpusPerNode: 8}
  modelCache: {pvcName: models, pvcModelPath: m}
  overrides: {dgd: {apiVersion: nvidia.com/v1beta1, kind: DynamoGraphDeployment, metadata: {annotations: {nvidia.com/enable-grove: "false"}}}}
  features: {kvRouter: {enabled: true}}
`, c.backend, version), c.archive)
				require.Empty(t, warnings)
				require.Equal(t, "kv", mains["Frontend"].variable("DYN_ROUTER_MODE"))
				require.Len(t, mains, 1+len(c.workers))
				for name, main := range mains {
					if name != "Frontend" {
						require.Contains(t, strings.Join(main.Args, " "), c.events, name)
					}
				}
				if version == "1.5.1" {
					for _, name := range c.workers {
						require.Contains(t, mains, name)
					}
				}
			})
		}
	}
}

// KV routing by overrides alone works likewise; half of it is told.
func TestKVRouterByOverrides(t *testing.T) {
	const (
		dgdr = `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: m}
spec:
  model: m
  backend: vllm
  hardware: {gpuSku: h200_sxm, totalGpus: 64, numGpusPerNode: 8}
  overrides:
    dgd:
      apiVersion: nvidia.com/v1alpha1
      kind: DynamoGraphDeployment
      spec:
        services:
          Frontend: `
		frontend = `{extraPodSpec: {mainContainer: {args: [-m, dynamo.frontend, %s]}}}`
		events   = "\n          %s: {extraPodSpec: {mainContainer: {args: [--kv-events-config, '{\"publisher\":\"zmq\"}']}}}"
		kv       = "--router-mode, kv"
		silent   = "dgdr.yaml:9: spec.overrides.dgd: routes by KV events, and none come from %s; " +
			"set spec.features.kvRouter.enabled to have them, or add --no-router-kv-events to the args of Frontend to route without"
	)
	decode, prefill := fmt.Sprintf(events, "VllmDecodeWorker"), fmt.Sprintf(events, "VllmPrefillWorker")
	for _, c := range []struct{ name, override, want string }{
		{"both sides", fmt.Sprintf(frontend, kv) + decode + prefill, ""},
		{"frontend alone", fmt.Sprintf(frontend, kv), fmt.Sprintf(silent, "VllmDecodeWorker and VllmPrefillWorker")},
		{"one engine", fmt.Sprintf(frontend, "--router-mode=kv") + decode, fmt.Sprintf(silent, "VllmPrefillWorker")},
		{"by the environment", "{envs: [{name: DYN_ROUTER_MODE, value: kv}]}" + prefill, fmt.Sprintf(silent, "VllmDecodeWorker")},
		{"for all by the environment", "{}\n        envs: [{name: DYN_ROUTER_MODE, value: kv}]", fmt.Sprintf(silent, "VllmDecodeWorker and VllmPrefillWorker")},
		{"the flag before the environment", `{envs: [{name: DYN_ROUTER_MODE, value: kv}], extraPodSpec: {mainContainer: {args: [-m, dynamo.frontend, --router-mode, random]}}}`, ""},
		{"without events", fmt.Sprintf(frontend, kv+", --no-router-kv-events"), ""},
		{"without events by the environment", "{envs: [{name: DYN_ROUTER_MODE, value: kv}, {name: DYN_ROUTER_USE_KV_EVENTS, value: \"false\"}]}", ""},
		{"in another mode", fmt.Sprintf(frontend, "--router-mode, least-loaded"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, warnings := renderOf(t, dgdr+c.override+"\n", "vllm_disagg_planner")
			if c.want == "" {
				require.Empty(t, warnings)
				return
			}
			require.EqualError(t, warnings, c.want)
		})
	}
}
