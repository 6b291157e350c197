package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// The objects of the application "llama-70b" of these tests.
var (
	llama = object{"nvidia.com/v1beta1/DynamoGraphDeployment", "llama-70b-dgd"}
	qwen  = object{"nvidia.com/v1beta1/DynamoGraphDeployment", "qwen-small-dgd"}
	smoke = object{"batch/v1/Job", "smoke-test"}
)

// object names an object in the namespace inference.
type object struct{ gvk, name string }

// site is a cluster with Argo CD and one application from a git repository.
type site struct {
	repo    checkout
	argo    *servers.ArgoCD
	objects *servers.Objects
}

// newSite starts everything, and applies an Application for apps/llama-70b of the
// example repository, to which a second request and a Job were added.
func newSite(t *testing.T) site {
	t.Helper()
	cluster := servers.StartControlPlane(t)
	s := site{repo: gitRepository(t), objects: cluster.Objects(t)}
	s.objects.DefineDynamo(t)
	plugin := servers.StartPlugin(t, "../plugin.yaml", filepath.Dir(pluginBinary(t)))
	s.argo = servers.StartArgoCD(t, cluster, servers.StartRepoServer(t, plugin.Sockets), argoSettings(t))

	s.repo.git(t, "mv", "apps/qwen-small/dgdr.yaml", "apps/llama-70b/qwen-small.yaml")
	lock := s.repo.read(t, "apps/qwen-small/dynamo.lock")
	_, entry, _ := strings.Cut(lock, "profiles:\n")
	s.repo.write(t, "apps/llama-70b/dynamo.lock", s.repo.read(t, "apps/llama-70b/dynamo.lock")+entry)
	s.repo.write(t, "apps/llama-70b/job.yaml", `apiVersion: batch/v1
kind: Job
metadata: {name: smoke-test}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: smoke-test, image: "registry.example.com/smoke-test:1"}]
`)
	s.repo.commit(t, "One application with two requests and a Job")
	application, err := servers.Decode([]byte(fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: llama-70b
  namespace: argocd
  annotations: {argocd.argoproj.io/compare-options: ServerSideDiff=true}
spec:
  project: default
  source: {repoURL: %q, targetRevision: main, path: apps/llama-70b, plugin: {name: dynamo-cmp}}
  destination: {server: "https://kubernetes.default.svc", namespace: inference}
  syncPolicy:
    automated: {prune: true}
    syncOptions: [CreateNamespace=true, ServerSideApply=true]
`, s.repo.url)))
	require.NoError(t, err)
	_, err = s.objects.Apply(t.Context(), application[0], "e2e")
	require.NoError(t, err)
	return s
}

// application is what Argo CD's API says of the application after a refresh.
func (s site) application(t *testing.T, refresh string) *unstructured.Unstructured {
	t.Helper()
	app, err := s.argo.Get(t, "/api/v1/applications/llama-70b?refresh="+refresh)
	require.NoError(t, err)
	return &unstructured.Unstructured{Object: app}
}

// settled waits until a commit is synced and nothing differs.
func (s site) settled(t *testing.T, commit string) {
	t.Helper()
	var app *unstructured.Unstructured
	require.Eventually(t, func() bool {
		app = s.application(t, "normal")
		status, _, _ := unstructured.NestedString(app.Object, "status", "sync", "status")
		revision, _, _ := unstructured.NestedString(app.Object, "status", "sync", "revision")
		return status == "Synced" && revision == commit
	}, 90*time.Second, time.Second, "not synced: %v", lazily(func() any { return app.Object["status"] }))
}

// lazily is a message argument that is made when the message is.
type lazily func() any

func (l lazily) String() string {
	data, _ := json.Marshal(l())
	return string(data)
}

// live is an object of the namespace as the cluster has it.
func (s site) live(t *testing.T, o object) *unstructured.Unstructured {
	t.Helper()
	obj, err := s.read(t, o)
	require.NoError(t, err)
	return obj
}

func (s site) read(t *testing.T, o object) (*unstructured.Unstructured, error) {
	t.Helper()
	part := strings.Split(o.gvk, "/")
	client, err := s.objects.Of(schema.GroupVersionKind{Group: part[0], Version: part[1], Kind: part[2]}, "inference")
	require.NoError(t, err)
	return client.Get(t.Context(), o.name, metav1.GetOptions{})
}

// component is a component of a deployment.
func component(t *testing.T, dgd *unstructured.Unstructured, kind string) (int, map[string]any) {
	t.Helper()
	components, _, err := unstructured.NestedSlice(dgd.Object, "spec", "components")
	require.NoError(t, err)
	for i, c := range components {
		if c := c.(map[string]any); c["type"] == kind {
			return i, c
		}
	}
	t.Fatalf("no component of type %s", kind)
	return 0, nil
}

// An application's life with the whole of Argo CD, on a real API server that has
// Dynamo's definitions: each step goes on from the one before.
func TestApplicationLife(t *testing.T) {
	s := newSite(t)
	s.settled(t, s.repo.git(t, "rev-parse", "HEAD"))

	// Everything that was rendered is there.
	dgd := s.live(t, llama)
	s.live(t, qwen)
	s.live(t, smoke)
	mounted := false
	for _, m := range strings.Split(mustJSON(t, dgd.Object), `"configMap":{"name":"`)[1:] {
		name, _, _ := strings.Cut(m, `"`)
		s.live(t, object{"/v1/ConfigMap", name})
		mounted = true
	}
	require.True(t, mounted, "the planner's ConfigMap is not mounted")

	// It is healthy when the operator says so, and of this generation.
	require.Equal(t, "Progressing", s.health(t, "llama-70b-dgd"))
	s.operate(t, llama, "successful")
	require.Eventually(t, func() bool { return s.health(t, "llama-70b-dgd") == "Healthy" }, 60*time.Second, time.Second)

	// What the planner sets stays, while a new image in Git arrives.
	i, decode := component(t, dgd, "decode")
	require.NotContains(t, decode, "replicas")
	s.patch(t, llama, "planner", fmt.Sprintf(`[{"op": "add", "path": "/spec/components/%d/replicas", "value": 3}]`, i))
	s.repo.replace(t, "apps/llama-70b/dgdr.yaml", "spec:\n", "spec:\n  image: registry.example.com/dynamo/dynamo-planner:1.5.1\n")
	s.settled(t, s.repo.commit(t, "Images from our registry"))
	_, decode = component(t, s.live(t, llama), "decode")
	require.EqualValues(t, 3, decode["replicas"])
	require.Contains(t, mustJSON(t, decode), "registry.example.com/dynamo/")

	// A request without its result changes nothing, and says what to do.
	s.repo.write(t, "apps/llama-70b/qwen-small.yaml", s.repo.read(t, "apps/llama-70b/qwen-small.yaml")+longerPrompts)
	s.repo.commit(t, "Longer prompts, not profiled")
	var conditions string
	require.Eventually(t, func() bool {
		app := s.application(t, "normal")
		found, _, _ := unstructured.NestedSlice(app.Object, "status", "conditions")
		conditions = mustJSON(t, found)
		return strings.Contains(conditions, "ComparisonError")
	}, 90*time.Second, time.Second)
	require.Contains(t, conditions, "workload.isl 4000, now 12000, workload.osl 1000, now 300; to profile it again: dynamo-profile-runner run apps/llama-70b")
	before := s.live(t, qwen)
	s.live(t, llama)

	// The commit of the lock brings the result.
	s.repo.profile(t, "llama-70b")
	s.settled(t, s.repo.commit(t, "The result for longer prompts"))
	require.NotEqual(t, before.Object["spec"], s.live(t, qwen).Object["spec"])

	// A request that is gone takes its deployment along, and only that.
	s.repo.git(t, "rm", "--quiet", "apps/llama-70b/qwen-small.yaml")
	s.settled(t, s.repo.commit(t, "Without the small model"))
	require.Eventually(t, func() bool {
		_, err := s.read(t, qwen)
		return apierrors.IsNotFound(err)
	}, 30*time.Second, 200*time.Millisecond)
	_, decode = component(t, s.live(t, llama), "decode")
	require.EqualValues(t, 3, decode["replicas"])
	s.live(t, smoke)
}

// operate sets the state of a deployment, as Dynamo's operator does when it has seen
// its generation.
func (s site) operate(t *testing.T, o object, state string) {
	t.Helper()
	obj := s.live(t, o)
	obj.Object["status"] = map[string]any{"state": state, "observedGeneration": obj.GetGeneration()}
	part := strings.Split(o.gvk, "/")
	client, err := s.objects.Of(schema.GroupVersionKind{Group: part[0], Version: part[1], Kind: part[2]}, "inference")
	require.NoError(t, err)
	_, err = client.UpdateStatus(t.Context(), obj, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// health is what Argo CD makes of an object of the application.
func (s site) health(t *testing.T, name string) string {
	t.Helper()
	resources, _, err := unstructured.NestedSlice(s.application(t, "normal").Object, "status", "resources")
	require.NoError(t, err)
	for _, r := range resources {
		if r := r.(map[string]any); r["name"] == name {
			verdict, _, _ := unstructured.NestedString(r, "health", "status")
			return verdict
		}
	}
	return ""
}

func (s site) patch(t *testing.T, o object, manager, patch string) {
	t.Helper()
	part := strings.Split(o.gvk, "/")
	client, err := s.objects.Of(schema.GroupVersionKind{Group: part[0], Version: part[1], Kind: part[2]}, "inference")
	require.NoError(t, err)
	_, err = client.Patch(t.Context(), o.name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	require.NoError(t, err)
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}
