package render

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// What is rendered in v1alpha1 reads back as what is rendered in v1beta1.
func TestVersionsSayTheSame(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	api, err := loadOpenAPI()
	require.NoError(t, err)
	checked := 0
	for _, file := range archives {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		for _, f := range archive.Files {
			if f.Name != "want.yaml" {
				continue
			}
			for _, dgd := range deployments(t, f.Data) {
				alpha := alphaDeployment(dgd)
				require.Empty(t, api.check(alphaVersion, "", alpha, false), file)
				back := betaView(alpha, &profile.Request{})
				require.Equal(t, byName(dgd), byName(back), file)
				checked++
			}
		}
	}
	require.Greater(t, checked, 10)
}

// Fields that generation does not use, and that overrides may.
func TestFieldsOfOverridesInAlpha(t *testing.T) {
	dgd := object{
		"apiVersion": betaVersion, "kind": deploymentKind, "metadata": object{"name": "d"},
		"spec": object{
			"env": []any{object{"name": "A", "value": "b"}},
			"components": []any{object{
				"name": "Frontend", "type": "frontend", "sharedMemorySize": "0", "frontendSidecar": sidecarName,
				"compilationCache": object{"pvcName": "c", "mountPath": "/c"},
				"experimental":     object{"failover": object{"mode": "IntraPod"}},
				"podTemplate": object{
					"metadata": object{"labels": object{"a": "b"}},
					"spec": object{
						"tolerations": []any{object{"key": "gpu"}},
						"containers": []any{
							object{"name": "main", "resources": object{"limits": object{"cpu": "1", "nvidia.com/gpu": "2", "rdma/ib": "1"}}},
							object{"name": sidecarName, "image": "i", "envFrom": hfToken()},
							object{"name": "other", "image": "o"},
						},
					},
				},
			}},
		},
	}
	a := &assembly{req: &profile.Request{}}
	got, err := a.inVersion(dgd, "v1alpha1")
	require.NoError(t, err)
	data, err := json.Marshal(got["spec"])
	require.NoError(t, err)
	require.JSONEq(t, `{"envs": [{"name": "A", "value": "b"}], "services": {"Frontend": {
		"componentType": "frontend",
		"sharedMemory": {"disabled": true},
		"volumeMounts": [{"name": "c", "mountPoint": "/c", "useAsCompilationCache": true}],
		"failover": {"enabled": true, "mode": "intraPod"},
		"frontendSidecar": {"image": "i", "envFromSecret": "hf-token-secret"},
		"resources": {"limits": {"cpu": "1", "gpu": "2", "custom": {"rdma/ib": "1"}}},
		"extraPodMetadata": {"labels": {"a": "b"}},
		"extraPodSpec": {"tolerations": [{"key": "gpu"}], "mainContainer": {}, "containers": [{"name": "other", "image": "o"}]}}}}`, string(data))

	grove := object{"grove": object{"forceScalingGroup": true}}
	dgd["spec"].(object)["components"].([]any)[0].(object)["experimental"] = grove
	_, err = a.inVersion(dgd, "v1alpha1")
	require.ErrorContains(t, err, "v1alpha1 cannot say this: spec.services.Frontend.experimental: unknown field")
}

// deployments are the v1beta1 deployments of a stream.
func deployments(t *testing.T, stream []byte) []object {
	t.Helper()
	var out []object
	for doc := range strings.SplitSeq(string(stream), "\n---\n") {
		var obj any
		require.NoError(t, yaml.Unmarshal([]byte(doc), &obj))
		data, err := json.Marshal(obj)
		require.NoError(t, err)
		var tree object
		require.NoError(t, json.Unmarshal(data, &tree))
		if tree["kind"] == deploymentKind && tree["apiVersion"] == betaVersion && componentsOf(tree) != nil {
			out = append(out, copyTree(tree).(object))
		}
	}
	return out
}

func byName(dgd object) []object {
	cs := componentsOf(dgd)
	slices.SortFunc(cs, func(a, b object) int { return cmp.Compare(a["name"].(string), b["name"].(string)) })
	return cs
}

// Dynamo's own components expect services that its hand-written deployments have.
// They apply to such, and say so where there is none.
func TestComponentsOfDynamo(t *testing.T) {
	const components = "../../shared/data/kustomize-components"
	if _, err := os.Stat(components); err != nil {
		t.Skip("no components of Dynamo beside the repository")
	}
	archive, err := txtar.ParseFile("testdata/kustomize_alpha.txtar")
	require.NoError(t, err)
	own := "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: disagg-workers}\n" +
		"spec: {services: {Frontend: {componentType: frontend}, PrefillWorker: {componentType: worker}, DecodeWorker: {componentType: worker}}}\n"
	patches, err := filepath.Glob(components + "/*/patch-dgd.yaml")
	require.NoError(t, err)
	nested, err := filepath.Glob(components + "/*/*/patch-dgd.yaml")
	require.NoError(t, err)
	for _, patch := range append(patches, nested...) {
		repo := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
		require.NoError(t, os.CopyFS(filepath.Join(repo, "components"), os.DirFS(components)))
		for _, f := range archive.Files {
			if f.Name == "app/dgdr.yaml" {
				writeFile(t, filepath.Join(repo, "app/dgdr.yaml"), string(f.Data))
			}
		}
		name, err := filepath.Rel(components, filepath.Dir(patch))
		require.NoError(t, err)
		writeFile(t, filepath.Join(repo, "own/own.yaml"), own)
		writeFile(t, filepath.Join(repo, "own/kustomization.yaml"), "resources: [own.yaml]\ncomponents: [../components/"+name+"]\n")
		writeFile(t, filepath.Join(repo, "app/kustomization.yaml"), "resources: [dgdr.yaml]\ncomponents: [../components/"+name+"]\n")

		got := rendered(t, repo, "own", "")
		require.NotContains(t, got, "componentType: null", name)
		require.Contains(t, got, "DecodeWorker", name)
		require.Contains(t, rendered(t, repo, "app", "v1alpha1"), `is for component "DecodeWorker"; did you mean VllmDecodeWorker; the deployment has Frontend,`, name)
		require.Regexp(t, `is for DynamoGraphDeployment v1alpha1 with the components .*DecodeWorker, and v1beta1 is rendered`, rendered(t, repo, "app", ""), name)
	}
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(data), 0o644))
}

// rendered is the stream of a directory, or the error.
func rendered(t *testing.T, repo, dir, version string) string {
	t.Helper()
	tree, at, err := OpenTree(filepath.Join(repo, dir))
	require.NoError(t, err)
	defer tree.Close()
	src, err := tree.Load(at)
	require.NoError(t, err)
	src.DGDVersion = version
	archive, err := txtar.ParseFile("testdata/vllm_disagg_planner.txtar")
	require.NoError(t, err)
	var res *profile.Result
	for _, f := range archive.Files {
		if f.Name == "result.json" {
			res, err = profile.ParseResult(f.Data)
			require.NoError(t, err)
		}
	}
	out, err := Build(t.Context(), src, func(_ context.Context, _ *profile.Request) (Answer, error) { return Answer{Result: res}, nil })
	if err != nil {
		return err.Error()
	}
	return string(out)
}
