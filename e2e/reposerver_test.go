package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/reposerver/apiclient"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// renders asks the real repo-server for the manifests of an application at the
// head of main, as the application controller does.
type renders struct {
	client apiclient.RepoServerServiceClient
	url    string
}

// startRenders runs the repo-server with our plugin beside it.
func startRenders(t *testing.T, repo checkout, operator ...string) renders {
	t.Helper()
	plugin := servers.StartPlugin(t, "../plugin.yaml", filepath.Dir(pluginBinary(t)), operator...)
	r := servers.StartRepoServer(t, plugin.Sockets)
	conn, client, err := apiclient.NewRepoServerClientset(r.Address, 60, apiclient.TLSConfiguration{DisableTLS: true}).NewRepoServerClient()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return renders{client, repo.url}
}

// manifests are an application's, in one text. hard asks past every cache, as a
// hard refresh does.
func (r renders) manifests(ctx context.Context, app string, hard bool) (string, error) {
	source := &v1alpha1.ApplicationSource{
		RepoURL: r.url, Path: "apps/" + app, TargetRevision: "main",
		Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "dynamo-cmp"},
	}
	resp, err := r.client.GenerateManifest(ctx, &apiclient.ManifestRequest{
		Repo: &v1alpha1.Repository{Repo: r.url}, Revision: "main", AppName: app, Namespace: "inference",
		ApplicationSource: source, ProjectName: "default", ProjectSourceRepos: []string{"*"},
		KubeVersion: "1.33.1", ApiVersions: []string{"v1"}, NoCache: hard, NoRevisionCache: true,
	})
	if err != nil {
		return "", err
	}
	return strings.Join(resp.Manifests, "\n"), nil
}

// A result lands with the commit that locks it; a commit without one shows what to
// do, and the commit after it is as if nothing had been.
func TestCommitsThroughRepoServer(t *testing.T) {
	repo := gitRepository(t)
	r := startRenders(t, repo)
	before, err := r.manifests(t.Context(), "qwen-small", false)
	require.NoError(t, err)
	require.Contains(t, before, `"kind":"DynamoGraphDeployment"`)

	repo.write(t, "apps/qwen-small/dgdr.yaml", repo.read(t, "apps/qwen-small/dgdr.yaml")+longerPrompts)
	repo.commit(t, "Longer prompts, not profiled")
	_, err = r.manifests(t.Context(), "qwen-small", false)
	require.ErrorContains(t, err, "workload.isl 4000, now 12000")
	require.True(t, strings.HasSuffix(strings.TrimSpace(err.Error()), "dynamo-profile-runner run apps/qwen-small"), err.Error())

	repo.profile(t, "qwen-small")
	repo.commit(t, "The result for longer prompts")
	after, err := r.manifests(t.Context(), "qwen-small", false)
	require.NoError(t, err)
	require.NotEqual(t, before, after)

	repo.git(t, "revert", "--no-edit", "HEAD", "HEAD~1")
	reverted, err := r.manifests(t.Context(), "qwen-small", false)
	require.NoError(t, err)
	require.Equal(t, before, reverted)
}

// Argo CD caches errors: after three at one commit it repeats the third for an
// hour, though the cause is gone. docs/argocd.md says so, and the way out.
func TestCachedErrorNeedsHardRefresh(t *testing.T) {
	repo := gitRepository(t)
	store := filepath.Join(t.TempDir(), "store")
	r := startRenders(t, repo, "DYNAMO_CMP_STORE=oci-layout:"+store)
	for range 3 {
		_, err := r.manifests(t.Context(), "qwen-small", false)
		require.ErrorContains(t, err, store)
	}
	require.NoError(t, os.CopyFS(store, os.DirFS(filepath.Join(repo.dir, ".dynamo-cmp/store"))))
	_, err := r.manifests(t.Context(), "qwen-small", false)
	require.ErrorContains(t, err, "Manifest generation error (cached)")

	_, err = r.manifests(t.Context(), "qwen-small", true)
	require.NoError(t, err)
	_, err = r.manifests(t.Context(), "qwen-small", false)
	require.NoError(t, err)
}

// With a registry that went away, what was rendered once is rendered again.
func TestOutageAfterFirstRender(t *testing.T) {
	repo := gitRepository(t)
	store := filepath.Join(t.TempDir(), "store")
	require.NoError(t, exec.Command("cp", "-r", filepath.Join(repo.dir, ".dynamo-cmp/store"), store).Run())
	r := startRenders(t, repo, "DYNAMO_CMP_STORE=oci-layout:"+store)
	before, err := r.manifests(t.Context(), "qwen-small", true)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(store))
	after, err := r.manifests(t.Context(), "qwen-small", true)
	require.NoError(t, err)
	require.Equal(t, before, after)
}
