package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// everyRender is what we render for the goldens, the example applications and the
// cases of package render, by a name that may be that of a namespace.
func everyRender(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	dir := os.Getenv("DYNAMO_CMP_RENDERS")
	if dir == "" {
		t.Skip("no rendered goldens: make e2e-apiserver writes them and sets DYNAMO_CMP_RENDERS")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no rendered goldens: there are no recordings beside the repository")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		found[strings.TrimSuffix(filepath.Base(file), ".yaml")] = data
	}
	repo := gitRepository(t)
	for _, app := range []string{"qwen-small", "llama-70b"} {
		found["example-"+app] = generate(t, repo, app)
	}
	cases, err := filepath.Glob("../render/testdata/*.txtar")
	require.NoError(t, err)
	for _, file := range cases {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		for _, f := range archive.Files {
			if f.Name == "want.yaml" && filepath.Base(file) != "passthrough_yaml.txtar" { // a user's own, odd one
				found["case-"+strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txtar"), "_", "-")] = f.Data
			}
		}
	}
	return found
}

func generate(t *testing.T, repo checkout, app string) []byte {
	t.Helper()
	out, err := exec.Command(pluginBinary(t), "generate", filepath.Join(repo.dir, "apps", app), "--cache-dir", "").Output()
	require.NoError(t, err)
	return out
}

// Every object that we render is one that a real API server takes with strict
// validation and Dynamo's own definitions, rules in CEL included; and applying the
// same again changes nothing.
func TestAPIServerTakesEveryRender(t *testing.T) {
	renders := everyRender(t)
	objects := servers.StartControlPlane(t).Objects(t)
	objects.DefineDynamo(t)
	applied := 0
	for name, data := range renders {
		namespace := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
		_, err := objects.Apply(t.Context(), namespace, "e2e")
		require.NoError(t, err)
		manifests, err := servers.Decode(data)
		require.NoError(t, err)
		require.NotEmpty(t, manifests)
		for _, m := range manifests {
			if !defined(m) {
				continue
			}
			m.SetNamespace(name)
			first, err := objects.Apply(t.Context(), m, "argocd-controller")
			require.NoError(t, err, "%s: %s %s", name, m.GetKind(), m.GetName())
			applied++
			if m.GetAPIVersion() == "nvidia.com/v1alpha1" && m.GetKind() == "DynamoGraphDeployment" {
				continue // is stored as v1beta1, by a webhook of Dynamo's that is not here
			}
			again, err := objects.Apply(t.Context(), m, "argocd-controller")
			require.NoError(t, err)
			require.Equal(t, wanted(first, m), wanted(again, m), "%s: %s %s drifts", name, m.GetKind(), m.GetName())
		}
	}
	require.Greater(t, applied, len(renders))
	t.Logf("%d renders with %d objects", len(renders), applied)
}

// wanted is an object without what controllers write while it is looked at: its
// status, and annotations that the manifest does not have.
func wanted(obj, manifest *unstructured.Unstructured) map[string]any {
	obj = obj.DeepCopy()
	annotations := map[string]string{}
	for name, value := range obj.GetAnnotations() {
		if _, ours := manifest.GetAnnotations()[name]; ours {
			annotations[name] = value
		}
	}
	obj.SetAnnotations(annotations)
	for _, field := range []string{"resourceVersion", "managedFields", "finalizers"} {
		unstructured.RemoveNestedField(obj.Object, "metadata", field)
	}
	delete(obj.Object, "status")
	return obj.Object
}

// defined reports whether the control plane has the kind of an object: Kubernetes'
// and Dynamo's. What Prometheus or a user of the cases defines, it has not.
func defined(m *unstructured.Unstructured) bool {
	group := m.GroupVersionKind().Group
	return group == "nvidia.com" || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// mutations are what a patch of a user's may do to a deployment, as JSON patches
// where N is the index of its decode component.
var mutations = map[string]string{
	"unknown field of the spec":          `{"op": "add", "path": "/spec/sevices", "value": {}}`,
	"unknown field of a component":       `{"op": "add", "path": "/spec/components/N/replica", "value": 2}`,
	"unknown field of the pod":           `{"op": "add", "path": "/spec/components/N/podTemplate/spec/nodeSelectors", "value": {}}`,
	"unknown field of the container":     `{"op": "add", "path": "/spec/components/N/podTemplate/spec/containers/0/arg", "value": []}`,
	"unknown field of a probe":           `{"op": "add", "path": "/spec/components/N/podTemplate/spec/containers/0/livenessProbe", "value": {"http": {}}}`,
	"unknown field of the security":      `{"op": "add", "path": "/spec/components/N/podTemplate/spec/securityContext", "value": {"privileged": true}}`,
	"the adapter's field of 1.5.1":       `{"op": "add", "path": "/spec/components/N/scalingAdapter", "value": {"enabled": true}}`,
	"unknown type of component":          `{"op": "replace", "path": "/spec/components/N/type", "value": "decoder"}`,
	"unknown backend":                    `{"op": "add", "path": "/spec/backendFramework", "value": "vLLM"}`,
	"unknown restart strategy":           `{"op": "add", "path": "/spec/restart", "value": {"id": "1", "strategy": {"type": "Rolling"}}}`,
	"restart without an id":              `{"op": "add", "path": "/spec/restart", "value": {"strategy": {"type": "Parallel"}}}`,
	"negative replicas":                  `{"op": "add", "path": "/spec/components/N/replicas", "value": -1}`,
	"replicas in words":                  `{"op": "add", "path": "/spec/components/N/replicas", "value": "two"}`,
	"replicas of a fraction":             `{"op": "add", "path": "/spec/components/N/replicas", "value": 1.5}`,
	"component without a name":           `{"op": "remove", "path": "/spec/components/N/name"}`,
	"component with an empty name":       `{"op": "replace", "path": "/spec/components/N/name", "value": ""}`,
	"component name with an underscore":  `{"op": "replace", "path": "/spec/components/N/name", "value": "decode_worker"}`,
	"component name too long":            `{"op": "replace", "path": "/spec/components/N/name", "value": "` + strings.Repeat("d", 64) + `"}`,
	"two components of one name":         `{"op": "replace", "path": "/spec/components/N/name", "value": "Frontend"}`,
	"names that differ in case":          `{"op": "replace", "path": "/spec/components/N/name", "value": "frontend"}`,
	"components as a map":                `{"op": "replace", "path": "/spec/components", "value": {"Frontend": {}}}`,
	"multinode of one node":              `{"op": "add", "path": "/spec/components/N/multinode", "value": {"nodeCount": 1}}`,
	"model reference without a name":     `{"op": "add", "path": "/spec/components/N/modelRef", "value": {"revision": "main"}}`,
	"endpoint picker's config elsewhere": `{"op": "add", "path": "/spec/components/N/eppConfig", "value": {"configMapRef": {"name": "a", "key": "b"}}}`,
	"no shared memory of that size":      `{"op": "add", "path": "/spec/components/N/sharedMemorySize", "value": "8 GB"}`,
	"runtime version in words":           `{"op": "add", "path": "/spec/components/N/runtimeVersionOverride", "value": "latest"}`,
	"minAvailable above the replicas":    `{"op": "add", "path": "/spec/components/0/minAvailable", "value": 7}`,
	"minAvailable of none":               `{"op": "add", "path": "/spec/components/0/minAvailable", "value": 0}`,
	"environment without a name":         `{"op": "add", "path": "/spec/components/N/podTemplate/spec/containers/0/env", "value": [{"value": "1"}]}`,
	"environment that is a number":       `{"op": "add", "path": "/spec/components/N/podTemplate/spec/containers/0/env", "value": [{"name": "A", "value": 1}]}`,
	"mount without a path":               `{"op": "add", "path": "/spec/components/N/podTemplate/spec/containers/0/volumeMounts", "value": [{"name": "a"}]}`,
	"arguments in one string":            `{"op": "replace", "path": "/spec/components/N/podTemplate/spec/containers/0/args", "value": "--model a"}`,
	"image that is a number":             `{"op": "replace", "path": "/spec/components/N/podTemplate/spec/containers/0/image", "value": 1}`,
	"container without a name":           `{"op": "remove", "path": "/spec/components/N/podTemplate/spec/containers/0/name"}`,
	"limit that is no quantity":          `{"op": "add", "path": "/spec/components/N/podTemplate/spec/containers/0/resources", "value": {"limits": {"nvidia.com/gpu": "two"}}}`,
	"toleration of the wrong type":       `{"op": "add", "path": "/spec/components/N/podTemplate/spec/tolerations", "value": {"key": "nvidia.com/gpu"}}`,
	"label that is no label":             `{"op": "add", "path": "/metadata/labels/team", "value": "inference team"}`,
	"name with a capital":                `{"op": "replace", "path": "/metadata/name", "value": "Llama"}`,
	"name too long":                      `{"op": "replace", "path": "/metadata/name", "value": "` + strings.Repeat("l", 254) + `"}`,
	"version that does not exist":        `{"op": "replace", "path": "/apiVersion", "value": "nvidia.com/v1"}`,
}

// What the API server refuses was an error at render already: a patch in a user's
// kustomization never gets as far as a failed sync.
func TestAPIServerRefusesWhatRenderRefuses(t *testing.T) {
	objects := servers.StartControlPlane(t).Objects(t)
	objects.DefineDynamo(t)
	repo := gitRepository(t)
	manifests, err := servers.Decode(generate(t, repo, "llama-70b"))
	require.NoError(t, err)
	at := slices.IndexFunc(manifests, func(m *unstructured.Unstructured) bool { return m.GetKind() == "DynamoGraphDeployment" })
	require.GreaterOrEqual(t, at, 0)
	dgd := manifests[at]
	dgd.SetNamespace("default")
	index, _ := component(t, dgd, "decode")
	original, err := dgd.MarshalJSON()
	require.NoError(t, err)

	require.NoError(t, tryApply(t, objects, original, "[]"))
	for name, mutation := range mutations {
		t.Run(name, func(t *testing.T) {
			patch := "[" + strings.ReplaceAll(mutation, "/N", "/"+string(rune('0'+index))) + "]"
			refused := tryApply(t, objects, original, patch)
			require.Error(t, refused, "the API server takes it")
			out, err := tryRender(t, repo, patch)
			require.Error(t, err, "rendered, and then the API server says: %v", refused)
			require.NotContains(t, out, "panic")
		})
	}
}

// tryApply is whether the API server refuses the patched deployment, to be created
// or to be applied server-side, with strict validation.
func tryApply(t *testing.T, objects *servers.Objects, original []byte, patch string) error {
	t.Helper()
	decoded, err := jsonpatch.DecodePatch([]byte(patch))
	require.NoError(t, err)
	data, err := decoded.Apply(original)
	require.NoError(t, err)
	var obj unstructured.Unstructured
	require.NoError(t, json.Unmarshal(data, &obj.Object))
	client, err := objects.Of(obj.GroupVersionKind(), "default")
	if err != nil {
		return err
	}
	_, created := client.Create(t.Context(), &obj, metav1.CreateOptions{
		FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll},
	})
	_, applied := client.Patch(t.Context(), obj.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: "e2e", FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll},
	})
	return errors.Join(created, applied)
}

// tryRender renders the example with the patch in a kustomization.
func tryRender(t *testing.T, repo checkout, patch string) (string, error) {
	t.Helper()
	kustomization, err := yaml.Marshal(map[string]any{
		"resources": []string{"../llama-70b"},
		"patches":   []any{map[string]any{"target": map[string]any{"kind": "DynamoGraphDeployment"}, "patch": patch}},
	})
	require.NoError(t, err)
	repo.write(t, "apps/llama-70b/kustomization.yaml", "resources: [dgdr.yaml]\n")
	repo.write(t, "apps/patched/kustomization.yaml", string(kustomization))
	repo.write(t, "apps/patched/dynamo.lock", repo.read(t, "apps/llama-70b/dynamo.lock"))
	out, err := exec.Command(pluginBinary(t), "generate", filepath.Join(repo.dir, "apps/patched"), "--cache-dir", "").CombinedOutput()
	return string(out), err
}
