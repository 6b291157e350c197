package render_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The components for RDMA of the example repository change the engines of its
// disaggregated application, and leave a deployment that fits its schema.
func TestExampleRDMAComponents(t *testing.T) {
	const examples = "../examples/gitops-repo"
	dgdr, err := os.ReadFile(filepath.Join(examples, "apps/llama-70b/dgdr.yaml"))
	require.NoError(t, err)
	lookup := answering(t, "vllm_disagg_planner")
	rendered := func(t *testing.T, kustomization string) string {
		repo := write(t, map[string]string{
			".git/HEAD": "", "apps/llama-70b/dgdr.yaml": string(dgdr), "apps/llama-70b/kustomization.yaml": "resources: [dgdr.yaml]\n" + kustomization,
			"hardware.yaml": "apiVersion: dynamo-cmp.github.io/v1\nkind: Hardware\nspec: {gpuSku: h200_sxm, totalGpus: 16, numGpusPerNode: 8}\n",
		})
		require.NoError(t, os.CopyFS(filepath.Join(repo, "platform"), os.DirFS(filepath.Join(examples, "platform"))))
		out, _, err := build(t, filepath.Join(repo, "apps/llama-70b"), lookup)
		require.NoError(t, err)
		return string(out)
	}
	plain := rendered(t, "")
	for _, fabric := range []string{"none", "infiniband", "roce", "efa"} {
		t.Run(fabric, func(t *testing.T) {
			got := rendered(t, "components: [../../platform/rdma/"+fabric+"]\n")
			require.NotEqual(t, plain, got)
			golden := filepath.Join("testdata/rdma", fabric+".yaml")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}
