package render_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The images say what is rendered where no config does.
func TestReleaseIsThatOfTheImages(t *testing.T) {
	for _, c := range []struct{ image, worker, connector, warning string }{
		{"nvcr.io/nvidia/ai-dynamo/dynamo-planner:1.5.1", "VllmPrefillWorker", "kv_both", ""},
		{"nvcr.io/nvidia/ai-dynamo/dynamo-planner:v1.6.0", "prefill", "kv_producer", ""},
		{"localhost:5000/own/dynamo-planner:fixed\n  runtimeVersionOverride: 1.6.1", "prefill", "kv_producer", ""},
		{"nvcr.io/nvidia/ai-dynamo/dynamo-planner:2.0.0-rc.1", "VllmPrefillWorker", "kv_both",
			"dgdr.yaml:7: spec.image: is Dynamo 2.0.0-rc.1, of which nothing is known here; rendered as for 1.5 (known are 1.4, 1.5, 1.6)"},
	} {
		t.Run(c.image, func(t *testing.T) {
			mains, warnings := renderOf(t, `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: m}
spec:
  model: m
  backend: vllm
  image: `+c.image+`
  hardware: {gpuSku: h200_sxm, totalGpus: 64, numGpusPerNode: 8}
`, "vllm_disagg_planner")
			require.Contains(t, strings.Join(mains[c.worker].Args, " "), c.connector)
			if c.warning == "" {
				require.Empty(t, warnings)
				return
			}
			require.EqualError(t, warnings, c.warning)
		})
	}
}
