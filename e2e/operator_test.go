package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

const servedModel = "Qwen/Qwen3-32B" // of which AIConfigurator ships the configuration

// cluster is a control plane with the stand-in for Dynamo's operator in a namespace.
type cluster struct {
	*servers.Operator
	*servers.Objects
	core        kubernetes.Interface
	deployments dynamic.ResourceInterface
	plane       *servers.ControlPlane
	kubeconfig  string // of a runner, with the rights that the example gives it
}

func startCluster(t *testing.T, config servers.OperatorConfig) *cluster {
	t.Helper()
	servers.DynamoPython(t)
	plane := servers.StartControlPlane(t)
	c := &cluster{Objects: plane.Objects(t), plane: plane, kubeconfig: plane.As(t, "system:serviceaccount:dynamo-profile-runner:dynamo-profile-runner")}
	c.DefineDynamo(t)
	_, err := c.Apply(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "profiling"}}}, "e2e")
	require.NoError(t, err)
	c.ApplyFiles(t, "profiling", "../examples/gitops-repo/platform/profile-runner/rbac.yaml")
	c.core, err = kubernetes.NewForConfig(plane.Config)
	require.NoError(t, err)
	c.deployments, err = c.Of(schema.GroupVersionKind{Group: "nvidia.com", Version: "v1beta1", Kind: "DynamoGraphDeployment"}, "profiling")
	require.NoError(t, err)
	config.Namespace, config.System = "profiling", "h200_sxm"
	c.Operator = servers.StartOperator(t, plane, config)
	return c
}

// deploy creates a deployment of one aggregated vLLM engine.
func (c *cluster) deploy(t *testing.T, name string, tp int) {
	t.Helper()
	gpus := map[string]any{"nvidia.com/gpu": strconv.Itoa(tp)}
	container := func(args ...any) map[string]any {
		return map[string]any{"name": "main", "image": "registry.example.com/vllm-runtime:1.5.1", "command": []any{"python3"}, "args": args}
	}
	worker := container("-m", "dynamo.vllm", "--model", servedModel, "--tensor-parallel-size", strconv.Itoa(tp), "--max-num-seqs", "64", "--no-enable-prefix-caching")
	worker["resources"] = map[string]any{"limits": gpus, "requests": gpus}
	pod := func(container map[string]any) map[string]any {
		return map[string]any{"spec": map[string]any{"containers": []any{container}}}
	}
	_, err := c.deployments.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "nvidia.com/v1beta1", "kind": "DynamoGraphDeployment", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"components": []any{
			map[string]any{"name": "Frontend", "type": "frontend", "replicas": int64(1), "podTemplate": pod(container("-m", "dynamo.frontend"))},
			map[string]any{"name": "VllmDecodeWorker", "type": "decode", "replicas": int64(1), "podTemplate": pod(worker)},
		}},
	}}, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	require.NoError(t, err)
}

// await waits for a deployment's state and the reason of its condition Ready, and
// returns its worker's pods.
func (c *cluster) await(t *testing.T, name, state, reason string) []corev1.Pod {
	t.Helper()
	require.Eventually(t, func() bool {
		dgd, err := c.deployments.Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
		status, _, _ := unstructured.NestedMap(dgd.Object, "status")
		conditions, _ := status["conditions"].([]any)
		return status["state"] == state && status["observedGeneration"] == dgd.GetGeneration() &&
			len(conditions) == 1 && conditions[0].(map[string]any)["reason"] == reason
	}, 2*time.Minute, 100*time.Millisecond, "%s is not %s", name, reason)
	pods, err := c.core.CoreV1().Pods("profiling").List(t.Context(), metav1.ListOptions{
		LabelSelector: "nvidia.com/dynamo-graph-deployment-name=" + name + ",nvidia.com/dynamo-component-type=decode"})
	require.NoError(t, err)
	return pods.Items
}

func (c *cluster) pods(t *testing.T) int {
	t.Helper()
	pods, err := c.core.CoreV1().Pods("profiling").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return len(pods.Items)
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(data)
}

// complete asks for tokens and returns how long that took.
func complete(t *testing.T, url string, tokens int) time.Duration {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"model": servedModel, "max_tokens": tokens, "ignore_eos": true, "messages": []any{map[string]any{"role": "user", "content": "To be, or not to be"}},
	})
	require.NoError(t, err)
	began := time.Now()
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(data))
	require.Contains(t, string(data), fmt.Sprintf(`"completion_tokens":%d`, tokens))
	return time.Since(began)
}

// metric is the value of a frontend's metric of its one model.
func metric(t *testing.T, url, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(name + `\{model="[^"]*"\} (\S+)`).FindStringSubmatch(get(t, url+"/metrics"))
	require.NotNil(t, found, name)
	value, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	return value
}

// Deployments side by side are served, each as fast and with as much room as its
// parallelism gives, and leave nothing when they are deleted but, for a while, pods.
func TestOperatorServes(t *testing.T) {
	if !full() {
		t.Skip("what works of it shows in TestThorough: FULL=1 runs it")
	}
	c := startCluster(t, servers.OperatorConfig{Speedup: 1, Linger: 3 * time.Second})
	c.deploy(t, "one", 1)
	c.deploy(t, "four", 4)
	took, room := map[string]time.Duration{}, map[string]float64{}
	for _, name := range []string{"one", "four"} {
		workers := c.await(t, name, "successful", "all_resources_are_ready")
		require.Len(t, workers, 1)
		require.Equal(t, corev1.PodRunning, workers[0].Status.Phase)
		require.True(t, workers[0].Status.ContainerStatuses[0].Ready)
		require.Equal(t, "VllmDecodeWorker", workers[0].Labels["nvidia.com/dynamo-component"])
		service, err := c.core.CoreV1().Services("profiling").Get(t.Context(), name+"-frontend", metav1.GetOptions{})
		require.NoError(t, err)
		require.Equal(t, "http://"+service.Spec.ClusterIP+":8000", c.URL(name))
		require.Contains(t, get(t, c.URL(name)+"/v1/models"), `"id":"`+servedModel+`"`)
		complete(t, c.URL(name), 5) // the tables are read for the first request
		took[name] = complete(t, c.URL(name), 50)
		room[name] = metric(t, c.URL(name), "dynamo_frontend_model_total_kv_blocks") * metric(t, c.URL(name), "dynamo_frontend_model_kv_cache_block_size")
	}
	require.Greater(t, took["one"], 50*15*time.Millisecond)
	require.Greater(t, took["one"].Seconds(), 1.5*took["four"].Seconds())
	require.Greater(t, room["four"], 4*room["one"], "tokens of KV cache")

	pids := c.Processes()
	require.Len(t, pids, 4)
	for _, name := range []string{"one", "four"} {
		require.NoError(t, c.deployments.Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
	require.Eventually(t, func() bool {
		left, err := c.deployments.List(t.Context(), metav1.ListOptions{})
		return err == nil && len(left.Items) == 0
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, 4, c.pods(t))
	require.Empty(t, c.Processes())
	for _, pid := range pids {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	require.Eventually(t, func() bool { return c.pods(t) == 0 }, time.Minute, 100*time.Millisecond)
}

// What goes wrong with a deployment shows where it shows on a real cluster.
func TestOperatorFails(t *testing.T) {
	if !full() {
		t.Skip("what works of it shows in TestThorough: FULL=1 runs it")
	}
	c := startCluster(t, servers.OperatorConfig{Fault: func(dgd *unstructured.Unstructured) servers.Fault {
		return map[string]servers.Fault{
			"pull": servers.ImagePull, "oom": servers.OutOfMemory, "crash": servers.CrashLoop,
			"slow": servers.NeverReady, "first": servers.NeverReady, "second": servers.NeverReady, "silent": servers.NotServing, "full": servers.Unschedulable,
		}[dgd.GetName()]
	}})
	for _, want := range []struct {
		name, state, reason string
		check               func(*testing.T, corev1.PodStatus)
	}{
		{"pull", "pending", "pods_not_ready", func(t *testing.T, s corev1.PodStatus) {
			require.Equal(t, "ImagePullBackOff", s.ContainerStatuses[0].State.Waiting.Reason)
		}},
		{"oom", "pending", "pods_not_ready", func(t *testing.T, s corev1.PodStatus) {
			require.Equal(t, "OOMKilled", s.ContainerStatuses[0].LastTerminationState.Terminated.Reason)
			require.EqualValues(t, 3, s.ContainerStatuses[0].RestartCount)
		}},
		{"crash", "pending", "pods_not_ready", func(t *testing.T, s corev1.PodStatus) {
			require.Equal(t, "CrashLoopBackOff", s.ContainerStatuses[0].State.Waiting.Reason)
			require.EqualValues(t, 1, s.ContainerStatuses[0].LastTerminationState.Terminated.ExitCode)
		}},
		{"slow", "pending", "pods_not_ready", func(t *testing.T, s corev1.PodStatus) {
			require.NotNil(t, s.ContainerStatuses[0].State.Running)
			require.False(t, s.ContainerStatuses[0].Ready)
		}},
		{"silent", "successful", "all_resources_are_ready", func(t *testing.T, s corev1.PodStatus) {
			require.True(t, s.ContainerStatuses[0].Ready)
			require.Contains(t, get(t, c.URL("silent")+"/v1/models"), `"data":[]`)
		}},
		{"full", "pending", "insufficient_capacity", func(t *testing.T, s corev1.PodStatus) {
			require.Equal(t, corev1.PodReasonUnschedulable, s.Conditions[0].Reason)
			require.Empty(t, s.ContainerStatuses)
		}},
	} {
		t.Run(want.name, func(t *testing.T) {
			c.deploy(t, want.name, 1)
			workers := c.await(t, want.name, want.state, want.reason)
			require.Len(t, workers, 1)
			want.check(t, workers[0].Status)
			require.NoError(t, c.deployments.Delete(t.Context(), want.name, metav1.DeleteOptions{}))
			require.Eventually(t, func() bool { return len(c.Processes()) == 0 && c.pods(t) == 0 }, time.Minute, 50*time.Millisecond)
		})
	}
	t.Run("quota", func(t *testing.T) {
		_, err := c.core.CoreV1().ResourceQuotas("profiling").Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "gpus"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"requests.nvidia.com/gpu": resource.MustParse("2")}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		c.deploy(t, "first", 2)
		require.Len(t, c.await(t, "first", "pending", "pods_not_ready"), 1)
		c.deploy(t, "second", 1)
		require.Empty(t, c.await(t, "second", "pending", "some_resources_are_not_ready"))
		events, err := c.core.CoreV1().Events("profiling").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		require.NoError(t, err)
		require.Len(t, events.Items, 1)
		require.Contains(t, events.Items[0].Message, "exceeded quota: gpus")
		require.NoError(t, c.deployments.Delete(t.Context(), "first", metav1.DeleteOptions{}))
		require.Len(t, c.await(t, "second", "pending", "pods_not_ready"), 1, "there is room now")
	})
}
