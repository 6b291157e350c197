package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const goldens = "../../shared/goldens"

// TestGoldens parses every recorded DGDR. The recordings ran outside a cluster,
// where the webhook's image rule did not apply; that is mended here, after the
// refusal was seen. What is refused beyond that is listed.
func TestGoldens(t *testing.T) {
	paths, err := filepath.Glob(goldens + "/*/dgdr.yaml")
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skip("no goldens beside the repository")
	}
	refused := map[string]string{
		"dyn-2d-rapid-both-concurrency-and-rate-error": "concurrency and requestRate may not both be set",
		"m-err-bad-sku":            `unknown GPU "h100_foo"`,
		"m-err-no-hardware":        "gpuSku, totalGpus, numGpusPerNode missing",
		"m-err-no-total-gpus-vllm": "totalGpus missing",
		"m-err-thorough-auto":      "thorough needs one of vllm, sglang, trtllm",
		"m-err-zero-osl":           "spec.workload.osl: must be positive",
		"m-image-digest-vllm":      "must not be pinned by digest", // Dynamo derives an image that does not exist
		"m-pvc-no-path-vllm":       "pvcModelPath: is required",    // Dynamo serves a path that does not exist
	}
	for _, path := range paths {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			first := ""
			if err := parseAll(data); err != nil {
				first = err.Error()
			}
			mended := mend(t, string(data), first)
			err = parseAll([]byte(mended))
			if want := refused[name]; want != "" {
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), "\nf.yaml", "one problem alone")
				return
			}
			require.NoError(t, err)
		})
	}
}

// mend versions the images that the webhook refuses, and checks that they were
// refused.
func mend(t *testing.T, dgdr, first string) string {
	t.Helper()
	for _, tag := range []string{":latest", ":hzhou-0224"} {
		if strings.Contains(dgdr, tag+"\n") {
			require.Contains(t, first, "is no version X.Y.Z")
			dgdr = strings.Replace(dgdr, tag+"\n", ":1.5.1\n", 1)
		}
	}
	return dgdr
}
