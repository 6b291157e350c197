package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// addNode makes a node as a kubelet, a device plugin and GPU feature discovery would.
func addNode(t *testing.T, objects *servers.Objects, name, product, memory string, gpus int, more map[string]any) {
	t.Helper()
	node := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{
		"name": name, "labels": map[string]any{"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": memory, "nvidia.com/gpu.count": strconv.Itoa(gpus)}}}}
	client, err := objects.Of(schema.GroupVersionKind{Version: "v1", Kind: "Node"}, "")
	require.NoError(t, err)
	_, err = client.Create(t.Context(), node, metav1.CreateOptions{})
	require.NoError(t, err)
	resources := map[string]any{"cpu": "63500m", "memory": "1056299084Ki", "nvidia.com/gpu": strconv.Itoa(gpus)}
	maps.Copy(resources, more)
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"capacity": resources, "allocatable": resources}})
	require.NoError(t, err)
	_, err = client.Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	require.NoError(t, err)
}

// define makes an API group that a cluster has with one of its controllers.
func define(t *testing.T, objects *servers.Objects, group, plural, kind string) {
	t.Helper()
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		// The API server wants an approval for the groups of Kubernetes itself.
		"metadata": map[string]any{"name": plural + "." + group, "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, e2e"}},
		"spec": map[string]any{"group": group, "scope": "Namespaced", "names": map[string]any{"plural": plural, "kind": kind},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}}}}}}}
	_, err := objects.Apply(t.Context(), crd, "e2e")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := objects.Of(schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}, "default")
		return err == nil
	}, time.Minute, 200*time.Millisecond)
}

// The runner describes the GPUs of a real cluster, with no more rights than the
// example gives it, and a DGDR without hardware then gets them.
func TestHardwareOfCluster(t *testing.T) {
	plane := servers.StartControlPlane(t)
	objects := plane.Objects(t)
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "dynamo-profile-runner"}}}
	_, err := objects.Apply(t.Context(), namespace, "e2e")
	require.NoError(t, err)
	kubeconfig := plane.As(t, "system:serviceaccount:dynamo-profile-runner:dynamo-profile-runner")
	hardware := func(args ...string) (stdout, stderr string, err error) {
		var out, errs bytes.Buffer
		cmd := exec.Command(runnerBinary(t), append([]string{"hardware", "--kubeconfig", kubeconfig}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		err = cmd.Run()
		return out.String(), errs.String(), err
	}

	_, stderr, err := hardware()
	require.Error(t, err)
	require.Contains(t, stderr, "listing nodes: nodes is forbidden")
	objects.ApplyFiles(t, "", "../examples/gitops-repo/platform/profile-runner/hardware/rbac.yaml")
	require.Eventually(t, func() bool { // until the API server's authorizer has the role
		_, stderr, _ = hardware()
		return !bytes.Contains([]byte(stderr), []byte("forbidden"))
	}, time.Minute, 200*time.Millisecond)
	require.Contains(t, stderr, "no node offers nvidia.com/gpu; ")

	for _, name := range []string{"a", "b"} {
		addNode(t, objects, name, "NVIDIA-H100-80GB-HBM3", "81559", 8, map[string]any{"rdma/ib": "8"})
	}
	addNode(t, objects, "c", "NVIDIA-L40S", "46068", 4, nil)
	define(t, objects, "grove.io", "podcliques", "PodClique")
	define(t, objects, "scheduling.run.ai", "queues", "Queue")
	define(t, objects, "leaderworkerset.x-k8s.io", "leaderworkersets", "LeaderWorkerSet")
	define(t, objects, "monitoring.coreos.com", "podmonitors", "PodMonitor")
	define(t, objects, "inference.networking.k8s.io", "inferencepools", "InferencePool")

	repo := t.TempDir()
	file := filepath.Join(repo, "hardware.yaml")
	_, stderr, err = hardware("-o", file)
	require.Error(t, err)
	require.Contains(t, stderr, "the cluster has GPUs of 2 kinds")
	require.NoFileExists(t, file)

	stdout, stderr, err := hardware("--gpu-sku", "h100_sxm", "--context", "e2e", "-o", file)
	require.NoError(t, err, stderr)
	require.Empty(t, stdout+stderr)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, `# Found by dynamo-profile-runner hardware: 2 nodes with 8 x NVIDIA-H100-80GB-HBM3 (h100_sxm).
# Not described:
#   1 node with 4 x NVIDIA-L40S (l40s)
apiVersion: dynamo-cmp.github.io/v1
kind: Hardware
spec:
  gpuSku: h100_sxm
  vramMb: 81559 # MiB for each GPU
  numGpusPerNode: 8
  totalGpus: 16 # the budget of one application
  rdma: true
  capabilities: [gaie, grove, kai, lws, prometheus, rdma]
`, string(data))

	require.NoError(t, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
	request := filepath.Join(repo, "dgdr.yaml")
	require.NoError(t, os.WriteFile(request, []byte(
		"apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata: {name: tiny}\nspec: {model: Qwen/Qwen3-0.6B}\n"), 0o644))
	key, err := exec.Command(runnerBinary(t), "key", request).CombinedOutput()
	require.NoError(t, err, string(key))
	require.Contains(t, string(key), `"system": "h100_sxm"`)
	require.Contains(t, string(key), `"totalGpus": 16`)
}
