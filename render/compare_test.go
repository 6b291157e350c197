package render

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// chosenDGD is a generated deployment of two roles.
const chosenDGD = `
apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {name: qwen-dgd}
spec:
  components:
  - name: Frontend
    type: frontend
    replicas: 1
    podTemplate: {spec: {containers: [{name: main, command: [python3], args: [-m, dynamo.frontend]}]}}
  - name: VllmDecodeWorker
    type: decode
    replicas: 2
    podTemplate: {spec: {containers: [{name: main, command: [python3, -m, dynamo.vllm], resources: {limits: {nvidia.com/gpu: "4"}},
      args: [--tensor-parallel-size, "4", --pipeline-parallel-size, "1", --max-num-seqs, "512", --disaggregation-mode, decode, --model, m]}]}}
  - name: VllmPrefillWorker
    type: prefill
    replicas: 1
    multinode: {nodeCount: 2}
    podTemplate: {spec: {containers: [{name: main, command: [python3, -m, dynamo.vllm], resources: {limits: {nvidia.com/gpu: "8"}},
      args: [--tensor-parallel-size, "16", --enforce-eager, --disaggregation-mode, prefill, --model, m]}]}}
`

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name, recipe string
		want         map[string][]Difference // by role
	}{
		{"with itself", chosenDGD, map[string][]Difference{"decode": {}, "prefill": {}, "frontend": {}}},
		{"a v1alpha1 recipe that starts engines in a shell", `
apiVersion: v1
kind: ConfigMap
metadata: {name: engine}
---
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: recipe}
spec:
  services:
    Frontend: {componentType: frontend, replicas: 1, extraPodSpec: {mainContainer: {args: [--router-mode, kv]}}}
    prefill:
      componentType: worker
      replicas: 4
      resources: {limits: {gpu: "2"}}
      extraPodSpec:
        mainContainer:
          command: [/bin/bash, -c]
          args:
          - |
            export X=1 && python3 -m dynamo.vllm \
              -tp 2 --is-prefill-worker --enforce-eager \
              --model "m" --served-model-name 'a b'
            echo --not-a-flag
    worker:
      componentType: worker
      subComponentType: decode
      resources: {limits: {gpu: "4"}}
      extraPodSpec: {mainContainer: {command: [python3, -m, dynamo.vllm], args: [--tensor-parallel-size=4, --max-num-seqs, "256", --max-num-seqs, "512", --model, m]}}
`, map[string][]Difference{
			"prefill": {
				{"replicas", "1", "4"}, {"nodes", "2", "1"}, {"gpusPerEngine", "16", "2"}, {"--tensor-parallel-size", "16", "2"},
				{"--disaggregation-mode", "prefill", ""}, {"--is-prefill-worker", "", "set"}, {"--served-model-name", "", "a b"},
			},
			"decode":   {{"replicas", "2", "1"}, {"--disaggregation-mode", "decode", ""}},
			"frontend": {{"--router-mode", "", "kv"}},
		}},
		{"an aggregated one", `
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
spec:
  services:
    VllmDecodeWorker: {componentType: worker, resources: {limits: {gpu: "8"}}, extraPodSpec: {mainContainer: {args: [python3 -m dynamo.vllm --dp 8], command: [sh, -c]}}}
`, map[string][]Difference{"decode": {}, "prefill": {}, "frontend": {}, "worker": {}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var chosen object
			require.NoError(t, yaml.Unmarshal([]byte(chosenDGD), &chosen))
			roles, err := Compare(integers(chosen).(object), "recipe.yaml", []byte(c.recipe))
			require.NoError(t, err)
			got := map[string][]Difference{}
			for _, r := range roles {
				got[r.Role] = r.Differences
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestCompareWantsOneDeployment(t *testing.T) {
	const want = "objects of kind DynamoGraphDeployment (nvidia.com/v1beta1 or nvidia.com/v1alpha1), and one is compared"
	_, err := Compare(nil, "recipe.yaml", []byte("apiVersion: v1\nkind: Secret\n"))
	require.EqualError(t, err, "recipe.yaml: holds 0 "+want)
	_, err = Compare(nil, "recipe.yaml", []byte(chosenDGD+"---"+chosenDGD))
	require.EqualError(t, err, "recipe.yaml: holds 2 "+want)
}

func TestShellWords(t *testing.T) {
	require.Equal(t, []string{"a", "b c", "d", ";", `{"x":"y"}`, "e f", ""},
		shellWords("a \"b c\" \\\n  d\n'{\"x\":\"y\"}' e\\ f ''"))
}
