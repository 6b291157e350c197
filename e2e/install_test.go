package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/v2/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

const install = "../examples/gitops-repo/platform/argocd"

// installed is Argo CD's own installation with our components, by kind and name.
func installed(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "dynamo-cmp"), os.DirFS(install)))
	manifest, err := os.ReadFile(filepath.Join(servers.ArgoManifests(t), "install.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "install.yaml"), manifest, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(`
namespace: argocd
resources: [install.yaml]
components: [dynamo-cmp, dynamo-cmp/resource-exclusions]
`), 0o644))
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	stream, err := built.AsYaml()
	require.NoError(t, err)
	objects, err := servers.Decode(stream)
	require.NoError(t, err)
	byName := map[string]*unstructured.Unstructured{}
	for _, o := range objects {
		byName[o.GetKind()+"/"+o.GetName()] = o
	}
	return byName
}

// argoSettings is what our components put into argocd-cm.
func argoSettings(t *testing.T) map[string]string {
	t.Helper()
	var config corev1.ConfigMap
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(installed(t)["ConfigMap/argocd-cm"].Object, &config))
	return config.Data
}

func TestInstallAddsSidecar(t *testing.T) {
	var server appsv1.Deployment
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(
		installed(t)["Deployment/argocd-repo-server"].Object, &server, true))
	pod := server.Spec.Template.Spec
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	require.Len(t, pod.Containers, 2)
	sidecar := pod.Containers[0]
	require.Equal(t, "dynamo-cmp", sidecar.Name)
	for _, m := range sidecar.VolumeMounts {
		require.True(t, volumes[m.Name], "volume %s", m.Name)
	}
	require.True(t, *sidecar.SecurityContext.ReadOnlyRootFilesystem)
	require.EqualValues(t, 999, *sidecar.SecurityContext.RunAsUser)
	require.False(t, sidecar.Resources.Limits.Memory().IsZero())
	require.Len(t, argoSettings(t), 6, "five health checks and the exclusions")
}

// The plugin is the same wherever it is installed from.
func TestInstallHasThePlugin(t *testing.T) {
	want, err := os.ReadFile("../plugin.yaml")
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(install, "plugin.yaml"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// The health checks, in Argo CD's own interpreter and by its own layout of tests.
func TestHealthChecks(t *testing.T) {
	scripts, err := filepath.Glob(install + "/resource_customizations/nvidia.com/*/health.lua")
	require.NoError(t, err)
	require.Len(t, scripts, 5)
	for _, path := range scripts {
		dir := filepath.Dir(path)
		script, err := os.ReadFile(path)
		require.NoError(t, err)
		var cases struct {
			Tests []struct {
				InputPath    string              `json:"inputPath"`
				HealthStatus health.HealthStatus `json:"healthStatus"`
			} `json:"tests"`
		}
		strictly(t, filepath.Join(dir, "health_test.yaml"), &cases)
		require.NotEmpty(t, cases.Tests)
		for _, c := range cases.Tests {
			t.Run(filepath.Base(dir)+"/"+filepath.Base(c.InputPath), func(t *testing.T) {
				data, err := os.ReadFile(filepath.Join(dir, c.InputPath))
				require.NoError(t, err)
				var obj unstructured.Unstructured
				require.NoError(t, yaml.Unmarshal(data, &obj.Object))
				require.Equal(t, filepath.Base(dir), obj.GetKind())
				got, err := (lua.VM{}).ExecuteHealthLua(&obj, string(script))
				require.NoError(t, err)
				require.Equal(t, &c.HealthStatus, got)
			})
		}
	}
}
