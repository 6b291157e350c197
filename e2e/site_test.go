package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// object names an object in the namespace inference.
type object struct{ gvk, name string }

// site is a cluster with Argo CD, Dynamo's definitions and a git repository.
type site struct {
	cluster *servers.ControlPlane
	repo    checkout
	argo    *servers.ArgoCD
	objects *servers.Objects
}

// newSite starts everything; operator adds to the plugin's environment.
func newSite(t *testing.T, operator ...string) site {
	t.Helper()
	cluster := servers.StartControlPlane(t)
	s := site{cluster: cluster, repo: gitRepository(t), objects: cluster.Objects(t)}
	s.objects.DefineDynamo(t)
	plugin := servers.StartPlugin(t, "../plugin.yaml", filepath.Dir(pluginBinary(t)), operator...)
	s.argo = servers.StartArgoCD(t, cluster, servers.StartRepoServer(t, plugin.Sockets), argoSettings(t))
	return s
}

// deploy applies an Application for a directory of apps/, which syncs and prunes by
// itself.
func (s site) deploy(t *testing.T, name string) {
	t.Helper()
	application, err := servers.Decode([]byte(fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: %[1]s
  namespace: argocd
  annotations: {argocd.argoproj.io/compare-options: ServerSideDiff=true}
spec:
  project: default
  source: {repoURL: %[2]q, targetRevision: main, path: apps/%[1]s, plugin: {name: dynamo-cmp}}
  destination: {server: "https://kubernetes.default.svc", namespace: inference}
  syncPolicy:
    automated: {prune: true}
    syncOptions: [CreateNamespace=true, ServerSideApply=true]
`, name, s.repo.url)))
	require.NoError(t, err)
	_, err = s.objects.Apply(t.Context(), application[0], "e2e")
	require.NoError(t, err)
}

// twoRequestsAndAJob adds the request qwen-small and a Job to apps/llama-70b.
func twoRequestsAndAJob(t *testing.T, repo checkout) {
	t.Helper()
	repo.git(t, "mv", "apps/qwen-small/dgdr.yaml", "apps/llama-70b/qwen-small.yaml")
	_, entry, _ := strings.Cut(repo.read(t, "apps/qwen-small/dynamo.lock"), "profiles:\n")
	repo.write(t, "apps/llama-70b/dynamo.lock", repo.read(t, "apps/llama-70b/dynamo.lock")+entry)
	repo.write(t, "apps/llama-70b/job.yaml", `apiVersion: batch/v1
kind: Job
metadata: {name: smoke-test}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: smoke-test, image: "registry.example.com/smoke-test:1"}]
`)
	repo.commit(t, "One application with two requests and a Job")
}

// application is what Argo CD's API says of an application after a refresh.
func (s site) application(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	app, err := s.argo.Get(t, "/api/v1/applications/"+name+"?refresh=normal")
	require.NoError(t, err)
	return &unstructured.Unstructured{Object: app}
}

// settled waits until a commit is synced and nothing differs.
func (s site) settled(t *testing.T, name, commit string) {
	t.Helper()
	var app *unstructured.Unstructured
	require.Eventually(t, func() bool {
		app = s.application(t, name)
		status, _, _ := unstructured.NestedString(app.Object, "status", "sync", "status")
		revision, _, _ := unstructured.NestedString(app.Object, "status", "sync", "revision")
		return status == "Synced" && revision == commit
	}, 90*time.Second, time.Second, "not synced: %v", lazily(func() any { return app.Object["status"] }))
}

// failsToRender waits until an application shows an error with all the texts.
func (s site) failsToRender(t *testing.T, name string, texts ...string) {
	t.Helper()
	var conditions string
	require.Eventually(t, func() bool {
		found, _, _ := unstructured.NestedSlice(s.application(t, name).Object, "status", "conditions")
		conditions = mustJSON(t, found)
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(conditions, text) })
	}, 90*time.Second, time.Second, "the conditions are %s", lazily(func() any { return conditions }))
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
	resources, _, err := unstructured.NestedSlice(s.application(t, "llama-70b").Object, "status", "resources")
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
