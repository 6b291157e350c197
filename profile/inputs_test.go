package profile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeyHoldsEveryInput changes each leaf of Inputs, found by reflection: every
// change is another key.
func TestKeyHoldsEveryInput(t *testing.T) {
	base := fullResult().Inputs
	keys := map[Key]string{base.Key(): "base"}
	for _, path := range leaves(reflect.TypeFor[Inputs](), nil) {
		in := fullResult().Inputs
		v := reflect.ValueOf(&in).Elem().FieldByIndex(path)
		name := fmt.Sprint(reflect.TypeFor[Inputs]().FieldByIndex(path).Name, path)
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int:
			v.SetInt(v.Int() + 1)
		case reflect.Float64:
			v.SetFloat(v.Float() + 0.001)
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]any{"b": 1.0}))
		default:
			t.Fatalf("%s: kind %s is new; change it here", name, v.Kind())
		}
		other, again := keys[in.Key()]
		require.False(t, again, "%s and %s share a key", name, other)
		keys[in.Key()] = name
	}
	require.Greater(t, len(keys), 18)
}

func leaves(typ reflect.Type, prefix []int) [][]int {
	var out [][]int
	for i := range typ.NumField() {
		path := append(append([]int{}, prefix...), i)
		if f := typ.Field(i); f.Type.Kind() == reflect.Struct {
			out = append(out, leaves(f.Type, path)...)
		} else {
			out = append(out, path)
		}
	}
	return out
}

const keyBase = `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: qwen}
spec:
  model: Qwen/Qwen3-32B
  backend: vllm
  hardware: {gpuSku: h200_sxm, totalGpus: 8, numGpusPerNode: 8}
  modelCache: {pvcName: cache, pvcModelPath: hub/m/snapshots/r1}
`

func keyOf(t *testing.T, dgdr string) Key {
	t.Helper()
	docs, err := Documents("dgdr.yaml", []byte(dgdr))
	require.NoError(t, err, dgdr)
	req, err := Parse(docs[0], Defaults{})
	require.NoError(t, err, dgdr)
	return req.Inputs().Key()
}

// edit replaces a piece of the base, or adds lines to its spec.
type edit struct{ name, old, new string }

func (e edit) apply(base string) string {
	if e.old == "" {
		return base + e.new
	}
	return strings.Replace(base, e.old, e.new, 1)
}

// TestKeyIgnores edits what cannot change an answer.
func TestKeyIgnores(t *testing.T) {
	const plannerOn = keyBase + "  features: {planner: {}}\n"
	for _, c := range []struct {
		base string
		edit
	}{
		{keyBase, edit{"the name", "{name: qwen}", "{name: other}"}},
		{keyBase, edit{"the namespace", "{name: qwen}", "{name: qwen, namespace: x}"}},
		{keyBase, edit{"labels", "{name: qwen}", "{name: qwen, labels: {a: b}}"}},
		{keyBase, edit{"annotations", "{name: qwen}", "{name: qwen, annotations: {a: b}}"}},
		{keyBase, edit{"autoApply", "", "  autoApply: false\n"}},
		{keyBase, edit{"the image under rapid", "", "  image: x/y:1.6.0\n"}},
		{keyBase, edit{"runtimeVersionOverride", "", "  runtimeVersionOverride: 1.5.0\n"}},
		{keyBase, edit{"profilingJob", "", "  overrides: {profilingJob: {template: {spec: {containers: []}}}}\n"}},
		{keyBase, edit{"overrides.dgd under rapid", "", "  overrides: {dgd: {apiVersion: nvidia.com/v1beta1, kind: DynamoGraphDeployment, spec: {env: []}}}\n"}},
		{keyBase, edit{"the claim", "pvcName: cache", "pvcName: other"}},
		{keyBase, edit{"the mount", "pvcName: cache", "pvcName: cache, pvcMountPath: /m"}},
		{keyBase, edit{"the path to the snapshot", "hub/m/", "elsewhere/"}},
		{keyBase, edit{"interconnect and rdma", "{gpuSku", "{interconnect: pcie, rdma: true, gpuSku"}},
		{keyBase, edit{"the case of the SKU", "h200_sxm", "H200_SXM"}},
		{keyBase, edit{"optimizationType", "", "  sla: {optimizationType: latency}\n"}},
		{keyBase, edit{"defaults written out", "", "  searchStrategy: rapid\n  workload: {isl: 4000, osl: 1000.0}\n"}},
		{keyBase, edit{"the KV router", "", "  features: {kvRouter: {enabled: true}}\n"}},
		{keyBase, edit{"a planner that is off", "", "  features: {planner: {enabled: false}}\n"}},
		{keyBase, edit{"the order of the fields", "  backend: vllm\n", ""}},
		{plannerOn, edit{"load under the planner", "", "  workload: {requestRate: 5}\n"}},
		{plannerOn, edit{"planner settings", "planner: {}", "planner: {max_gpu_budget: 4, mode: agg}"}},
		{plannerOn, edit{"the mocker under the planner", "planner: {}", "planner: {}, mocker: {enabled: true}"}},
		{thoroughBase, edit{"the deployment's name under thorough", "metadata: {name: chat}", "metadata: {name: chat2, labels: {a: b}}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			edited := c.apply(c.base)
			if c.name == "the order of the fields" {
				edited += "  backend: vllm\n"
			}
			require.NotEqual(t, c.base, edited)
			require.Equal(t, keyOf(t, c.base), keyOf(t, edited))
		})
	}
}

const thoroughBase = keyBase + `  searchStrategy: thorough
  overrides:
    dgd:
      apiVersion: nvidia.com/v1beta1
      kind: DynamoGraphDeployment
      metadata: {name: chat}
      spec: {env: [{name: A, value: "1"}]}
`

// TestKeyChanges edits what can change an answer.
func TestKeyChanges(t *testing.T) {
	for _, c := range []struct {
		base string
		edit
	}{
		{keyBase, edit{"the model", "Qwen3-32B", "Qwen3-8B"}},
		{keyBase, edit{"the revision", "r1", "r2"}},
		{keyBase, edit{"the backend", "vllm", "sglang"}},
		{keyBase, edit{"the strategy", "", "  searchStrategy: thorough\n"}},
		{keyBase, edit{"the GPU", "h200_sxm", "h100_sxm"}},
		{keyBase, edit{"the memory", "{gpuSku", "{vramMb: 100000, gpuSku"}},
		{keyBase, edit{"the GPUs", "totalGpus: 8", "totalGpus: 16"}},
		{keyBase, edit{"the node", "numGpusPerNode: 8", "numGpusPerNode: 4"}},
		{keyBase, edit{"isl", "", "  workload: {isl: 4001}\n"}},
		{keyBase, edit{"osl", "", "  workload: {osl: 1001}\n"}},
		{keyBase, edit{"concurrency", "", "  workload: {concurrency: 5}\n"}},
		{keyBase, edit{"request rate", "", "  workload: {requestRate: 5}\n"}},
		{keyBase, edit{"ttft", "", "  sla: {ttft: 100}\n"}},
		{keyBase, edit{"itl", "", "  sla: {itl: 20}\n"}},
		{keyBase, edit{"e2eLatency", "", "  sla: {e2eLatency: 9000}\n"}},
		{keyBase, edit{"the planner", "", "  features: {planner: {}}\n"}},
		{keyBase, edit{"the mocker", "", "  features: {mocker: {enabled: true}}\n"}},
		{keyBase + "  features: {planner: {optimization_target: sla}}\n", edit{"the sweep of a throughput planner", "sla}", "sla, pre_deployment_sweeping_mode: thorough}"}},
		{thoroughBase, edit{"the image under thorough", "", "  image: x/y:1.6.0\n"}},
		{thoroughBase, edit{"overrides.dgd under thorough", `"1"`, `"2"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			edited := c.apply(c.base)
			require.NotEqual(t, c.base, edited)
			require.NotEqual(t, keyOf(t, c.base), keyOf(t, edited))
		})
	}
}

func TestSnapshot(t *testing.T) {
	for path, want := range map[string]string{
		"hub/models--a--b/snapshots/abc":       "abc",
		"/mnt/hub/models--a--b/snapshots/abc/": "abc",
		"snapshots/abc/sub":                    "abc",
		"hub/snapshots":                        "",
		"qwen":                                 "",
		"":                                     "",
	} {
		require.Equal(t, want, snapshot(path), path)
	}
}

func TestRuntimeImage(t *testing.T) {
	for image, want := range map[string]string{
		DefaultImage:                      "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.5.1",
		"reg:5000/team/dynamo-planner:x":  "reg:5000/team/vllm-runtime:x",
		"reg:5000/dynamo-planner":         "reg:5000/vllm-runtime",
		"dynamo-planner:1.0.0":            "vllm-runtime:1.0.0",
		"r/p/dynamo-planner@sha256:aaaa1": "r/p/vllm-runtime@sha256:aaaa1",
	} {
		require.Equal(t, want, RuntimeImage(image, BackendVLLM), image)
	}
}
