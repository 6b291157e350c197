package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/v2/cmpserver/plugin"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// What we ship for Argo CD decodes strictly into Argo CD's own types.
func TestArgoTypes(t *testing.T) {
	applications, err := filepath.Glob("../examples/gitops-repo/applications/*.yaml")
	require.NoError(t, err)
	require.Len(t, applications, 3)
	for _, path := range applications {
		var app v1alpha1.Application
		strictly(t, path, &app)
		require.Equal(t, "dynamo-cmp", app.Spec.Source.Plugin.Name)
		_, err := os.Stat(filepath.Join("../examples/gitops-repo", app.Spec.Source.Path))
		require.NoError(t, err)
	}
	for _, path := range []string{"apps", "previews"} {
		var set v1alpha1.ApplicationSet
		strictly(t, "../examples/gitops-repo/applicationsets/"+path+".yaml", &set)
		require.Equal(t, "dynamo-cmp", set.Spec.Template.Spec.Source.Plugin.Name)
	}
	for _, path := range []string{"../plugin.yaml", "../examples/gitops-repo/platform/argocd/plugin-discover.yaml"} {
		var config plugin.PluginConfig
		strictly(t, path, &config)
		require.NoError(t, plugin.ValidatePluginConfig(config))
	}
}

func strictly(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(data, into), path)
}
