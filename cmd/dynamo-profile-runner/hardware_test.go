package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"
)

// aNode is a node with labels and allocatable resources, each NAME, VALUE, ...
func aNode(labels []string, allocatable ...string) map[string]any {
	pairs := func(list []string) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(list); i += 2 {
			m[list[i]] = list[i+1]
		}
		return m
	}
	return map[string]any{"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"labels": pairs(labels)},
		"status":   map[string]any{"allocatable": pairs(append(allocatable, "cpu", "63500m"))}}
}

// gpuNode is one as the GPU Operator labels it.
func gpuNode(product, memory, count string, more ...string) map[string]any {
	return aNode([]string{productLabel, product, memoryLabel, memory}, append(more, gpuResource, count)...)
}

func times(n int, node map[string]any) []map[string]any {
	var all []map[string]any
	for range n {
		all = append(all, node)
	}
	return all
}

func nodesOf(t *testing.T, nodes ...[]map[string]any) *fake.FakeDynamicClient {
	t.Helper()
	var objects []runtime.Object
	for _, list := range nodes {
		for _, n := range list {
			node := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(n)}
			node.SetName("node-" + strconv.Itoa(len(objects)))
			objects = append(objects, node)
		}
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{nodeResource: "NodeList"}, objects...)
}

func TestHardware(t *testing.T) {
	h200 := gpuNode("NVIDIA-H200", "143771", "8", "rdma/ib", "8")
	l4 := gpuNode("NVIDIA-L4", "23034", "4")
	cpu := aNode(nil)
	const operator = "; to have GPUs offered and labelled, install the NVIDIA GPU Operator:\n\t" +
		"helm install gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia --namespace gpu-operator --create-namespace"
	for _, c := range []struct {
		name   string
		nodes  []map[string]any
		groups []string
		sku    string
		want   string // the file, or the error
	}{
		{name: "one kind", nodes: append(times(2, h200), cpu), groups: []string{"apps", "grove.io", "scheduling.run.ai", "leaderworkerset.x-k8s.io"},
			want: `# Found by dynamo-profile-runner hardware: 2 nodes with 8 x NVIDIA-H200 (h200_sxm).
apiVersion: dynamo-cmp.github.io/v1
kind: Hardware
spec:
  gpuSku: h200_sxm
  vramMb: 143771 # MiB for each GPU
  numGpusPerNode: 8
  totalGpus: 16 # the budget of one application
  rdma: true
  capabilities: [grove, kai, lws, rdma]
`},
		{name: "chosen of several", nodes: append(times(1, h200), times(3, l4)...), sku: "l4",
			groups: []string{"monitoring.coreos.com", "inference.networking.k8s.io", "inference.networking.x-k8s.io"},
			want: `# Found by dynamo-profile-runner hardware: 3 nodes with 4 x NVIDIA-L4 (l4).
# Not described:
#   1 node with 8 x NVIDIA-H200 (h200_sxm)
apiVersion: dynamo-cmp.github.io/v1
kind: Hardware
spec:
  gpuSku: l4
  vramMb: 23034 # MiB for each GPU
  numGpusPerNode: 4
  totalGpus: 12 # the budget of one application
  rdma: false
  capabilities: [gaie, prometheus]
`},
		{name: "odd nodes", nodes: append(times(8, gpuNode("NVIDIA-H100-80GB-HBM3", "81559", "8", "vpc.amazonaws.com/efa", "32")),
			gpuNode("NVIDIA-H100-80GB-HBM3", "81560", "8"),
			gpuNode("NVIDIA-H100-80GB-HBM3", "81559", "7"),
			gpuNode("NVIDIA-H100-80GB-HBM3", "81559", "0"),
			gpuNode("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "9984", "7"),
			gpuNode("NVIDIA-L4-SHARED", "23034", "8"),
			gpuNode("NVIDIA-GH200-480GB", "97871", "1"),
			aNode(nil, gpuResource, "2")),
			want: `# Found by dynamo-profile-runner hardware: 9 nodes with 8 x NVIDIA-H100-80GB-HBM3 (h100_sxm).
# Not described:
#   1 node with 7 x NVIDIA-H100-80GB-HBM3 (h100_sxm)
#   1 node with NVIDIA-GH200-480GB, for which there is no gpuSku
#   1 node with NVIDIA-H100-80GB-HBM3 and no nvidia.com/gpu to offer
#   1 node with parts of GPUs, NVIDIA-H100-80GB-HBM3-MIG-1g.10gb
#   1 node with parts of GPUs, NVIDIA-L4-SHARED
#   1 node without the label nvidia.com/gpu.product
apiVersion: dynamo-cmp.github.io/v1
kind: Hardware
spec:
  gpuSku: h100_sxm
  vramMb: 81559 # MiB for each GPU
  numGpusPerNode: 8
  totalGpus: 32 # the budget of one application, as Dynamo limits it: there are 72
  rdma: false
  capabilities: []
`},
		{name: "memory unknown", nodes: times(1, gpuNode("Tesla-T4", "", "1")),
			want: `# Found by dynamo-profile-runner hardware: 1 node with 1 x Tesla-T4 (t4).
apiVersion: dynamo-cmp.github.io/v1
kind: Hardware
spec:
  gpuSku: t4
  numGpusPerNode: 1
  totalGpus: 1 # the budget of one application
  rdma: false
  capabilities: []
`},
		{name: "several kinds", nodes: append(times(2, l4), h200),
			want: "the cluster has GPUs of 2 kinds, and a hardware file describes one; to choose: --gpu-sku h200_sxm or l4\n" +
				"\t1 node with 8 x NVIDIA-H200 (h200_sxm)\n\t2 nodes with 4 x NVIDIA-L4 (l4)"},
		{name: "another kind", nodes: times(2, l4), sku: "h100_sxm",
			want: "--gpu-sku: the cluster has no \"h100_sxm\"; it has:\n\t2 nodes with 4 x NVIDIA-L4 (l4)"},
		{name: "no GPUs", nodes: times(3, cpu), want: "no node offers nvidia.com/gpu" + operator},
		{name: "no nodes", want: "no node offers nvidia.com/gpu" + operator},
		{name: "no labels", nodes: times(3, aNode(nil, gpuResource, "8")),
			want: "no node has GPUs that can be described:\n\t3 nodes without the label nvidia.com/gpu.product" + operator},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSurvey(c.groups)
			require.NoError(t, s.nodes(t.Context(), nodesOf(t, c.nodes)))
			data, err := s.file(c.sku)
			if err != nil {
				require.EqualError(t, err, c.want)
				require.Empty(t, data)
				return
			}
			require.Equal(t, c.want, string(data))
		})
	}
}

func TestHardwareCannotList(t *testing.T) {
	client := nodesOf(t)
	client.PrependReactor("list", "nodes", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("nodes is forbidden")
	})
	require.EqualError(t, newSurvey(nil).nodes(t.Context(), client), "listing nodes: nodes is forbidden")

	node := gpuNode("NVIDIA-L4", "23034", "many")
	require.ErrorContains(t, newSurvey(nil).nodes(t.Context(), nodesOf(t, times(1, node))), "reading node node-0: ")
}

func TestServedGroups(t *testing.T) {
	answer := any(metav1.APIGroupList{Groups: []metav1.APIGroup{{Name: "apps"}, {Name: "grove.io"}}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/proxy/apis", r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		require.NoError(t, json.NewEncoder(w).Encode(answer))
	}))
	defer server.Close()
	groups, err := servedGroups(t.Context(), &rest.Config{Host: server.URL + "/proxy"})
	require.NoError(t, err)
	require.Equal(t, []string{"apps", "grove.io"}, groups)
	answer = "a page of a proxy"
	_, err = servedGroups(t.Context(), &rest.Config{Host: server.URL + "/proxy"})
	require.ErrorContains(t, err, "cannot unmarshal string")
}

// A file is replaced whole, and nothing is left beside it.
func TestHardwareWrites(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hardware.yaml")
	require.NoError(t, os.WriteFile(file, []byte("old, and longer"), 0o600))
	var stdout bytes.Buffer
	require.NoError(t, hardwareOptions{output: file}.write(&stdout, []byte("new")))
	require.Empty(t, stdout.String())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "new", string(data))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())

	require.NoError(t, os.Mkdir(filepath.Join(dir, "taken"), 0o755))
	require.ErrorContains(t, hardwareOptions{output: filepath.Join(dir, "taken")}.write(&stdout, nil), "writing "+dir+"/taken: ")
	require.ErrorContains(t, hardwareOptions{output: filepath.Join(dir, "no/x")}.write(&stdout, nil), "writing "+dir+"/no/x: ")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2)

	require.NoError(t, hardwareOptions{}.write(&stdout, []byte("shown")))
	require.Equal(t, "shown", stdout.String())
}

// What the example grants is what the command does, to the account that it ships.
func TestHardwareRights(t *testing.T) {
	requireRights(t, "hardware", "ClusterRole", nodeResource, "list")
}
