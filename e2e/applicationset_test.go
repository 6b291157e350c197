package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// The real ApplicationSet controller makes of apps.yaml the Applications that the
// example repository also has as files, and of previews.yaml one for each request
// of a pull request with the label, at its commit, that syncs nothing.
func TestApplicationSets(t *testing.T) {
	cluster := servers.StartControlPlane(t)
	repo := gitRepository(t)
	head := repo.git(t, "rev-parse", "HEAD")
	plugin := servers.StartPlugin(t, "../plugin.yaml", filepath.Dir(pluginBinary(t)))
	servers.StartArgoCD(t, cluster, servers.StartRepoServer(t, plugin.Sockets), nil)
	github := pullRequests(t, head)

	objects := cluster.Objects(t)
	for _, file := range []string{"apps.yaml", "previews.yaml"} {
		data, err := os.ReadFile("../examples/gitops-repo/applicationsets/" + file)
		require.NoError(t, err)
		text := strings.NewReplacer(
			"https://git.example.com/inference/gitops-repo.git", repo.url,
			"github:\n", "github:\n                api: "+github+"/\n",
			"                tokenRef:\n                  secretName: github-token\n                  key: token\n", "",
		).Replace(string(data))
		set, err := servers.Decode([]byte(text))
		require.NoError(t, err)
		_, err = objects.Apply(t.Context(), set[0], "e2e")
		require.NoError(t, err)
	}
	made := map[string]v1alpha1.Application{}
	client, err := objects.Of(schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Application"}, "argocd")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := client.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false
		}
		for _, item := range list.Items {
			data, err := item.MarshalJSON()
			var app v1alpha1.Application
			if err := errors.Join(err, json.Unmarshal(data, &app)); err != nil {
				return false
			}
			made[app.Name] = app
		}
		return len(made) == 6
	}, 60*time.Second, 200*time.Millisecond)

	for _, name := range []string{"deepseek-r1", "llama-70b", "qwen-small"} {
		var file v1alpha1.Application
		strictly(t, "../examples/gitops-repo/applications/"+name+".yaml", &file)
		app, preview := made[name], made["preview-7-"+name]
		require.Equal(t, file.Spec.Source.Path, app.Spec.Source.Path)
		require.Equal(t, file.Spec.Source.Plugin.Name, app.Spec.Source.Plugin.Name)
		require.Equal(t, file.Spec.Destination, app.Spec.Destination)
		require.Equal(t, file.Spec.SyncPolicy, app.Spec.SyncPolicy)

		require.Equal(t, file.Spec.Source.Path, preview.Spec.Source.Path)
		require.Equal(t, head, preview.Spec.Source.TargetRevision)
		require.Equal(t, "preview-7", preview.Spec.Destination.Namespace)
		require.Nil(t, preview.Spec.SyncPolicy.Automated)
	}
}

// pullRequests is the URL of an API like GitHub's, with two pull requests of which
// one has the label.
func pullRequests(t *testing.T, head string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/repos/inference/gitops-repo/pulls") {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode([]map[string]any{
			{"number": 7, "title": "Longer prompts", "head": map[string]any{"ref": "longer", "sha": head}, "base": map[string]any{"ref": "main"},
				"labels": []map[string]any{{"name": "preview"}}, "user": map[string]any{"login": "ada"}},
			{"number": 8, "title": "Not looked at", "head": map[string]any{"ref": "other", "sha": head}, "base": map[string]any{"ref": "main"}},
		})
	}))
	t.Cleanup(server.Close)
	return server.URL
}
