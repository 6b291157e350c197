package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

const gitopsURL = "https://git.example.com/inference/gitops-repo.git"

// anApplication is an Argo CD Application with the given spec.
func anApplication(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{"name": name, "namespace": "argocd"}, "spec": spec,
	}}
}

func broken(app *unstructured.Unstructured) *unstructured.Unstructured {
	app.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "ComparisonError"}}}
	return app
}

func source(url, path string) map[string]any {
	return map[string]any{"repoURL": url, "path": path, "plugin": map[string]any{"name": "dynamo-cmp"}}
}

func one(source map[string]any) map[string]any { return map[string]any{"source": source} }

// written is source with a key of its own: another plugin, or another type.
func written(key string, value any) map[string]any {
	s := source(gitopsURL, "apps/a")
	delete(s, "plugin")
	if key != "" {
		s[key] = value
	}
	return s
}

func cluster(apps ...runtime.Object) *fake.FakeDynamicClient {
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{applicationResource: "ApplicationList"}, apps...)
}

// marked are the Applications that have the annotation.
func marked(t *testing.T, client *fake.FakeDynamicClient) []string {
	t.Helper()
	list, err := client.Resource(applicationResource).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var names []string
	for _, app := range list.Items {
		if app.GetAnnotations()["argocd.argoproj.io/refresh"] == "hard" {
			names = append(names, app.GetName())
		}
	}
	return names
}

// answered is the outcome of a request in a directory of a checkout.
func answered(root, dir, status string, digest cache.Digest) outcome {
	return outcome{job: job{root: root, dir: filepath.Join(root, dir), rel: dir}, status: status, digest: digest}
}

func TestRefreshMarksWhatRenders(t *testing.T) {
	client := cluster(
		anApplication("a", one(source("git@git.example.com:inference/gitops-repo", "apps/a"))),
		anApplication("a-too", map[string]any{"sources": []any{source(gitopsURL, "other"), source(gitopsURL, "./apps/a/")}}),
		anApplication("above", one(source(gitopsURL, "apps"))),
		anApplication("b-works", one(source(gitopsURL, "apps/b"))),
		broken(anApplication("broken", one(source(gitopsURL, "apps/b")))),
		anApplication("discovered", one(written("", nil))),
		anApplication("elsewhere", one(source("https://git.example.com/inference/other", "apps/a"))),
		anApplication("failed", one(source(gitopsURL, "apps/c"))),
		anApplication("helm", one(written("helm", map[string]any{"releaseName": "a"}))),
		anApplication("hydrated", map[string]any{"sourceHydrator": map[string]any{"drySource": source(gitopsURL, "apps/a")}}),
		anApplication("other-plugin", one(written("plugin", map[string]any{"name": "vault"}))),
		anApplication("replaced", map[string]any{"source": source(gitopsURL, "apps/a"), "sources": []any{source(gitopsURL, "other")}}),
		anApplication("same-inputs", one(source(gitopsURL, "apps/d"))),
		anApplication("unnamed", one(written("plugin", map[string]any{"env": []any{}}))),
	)
	root := t.TempDir()
	failed := answered(root, "apps/c", statusProfiled, "")
	failed.err = errors.New("no result")
	outcomes := []outcome{
		answered(root, "apps/a", statusProfiled, "sha256:1"),
		answered(root, "apps/a", statusHit, "sha256:2"),
		answered(root, "apps/b", statusHit, "sha256:3"),
		failed,
		answered(root, "apps/d", statusHit, "sha256:1"),
		answered(root, "apps/e", statusProfiled, "sha256:4"),
	}
	r := &refresher{client: client, namespace: "argocd", repoURL: gitopsURL}
	require.NoError(t, r.refresh(t.Context(), outcomes))
	require.Equal(t, []string{"argocd/a", "argocd/a-too", "argocd/discovered", "argocd/unnamed"}, outcomes[0].refreshed)
	require.Equal(t, []string{"Application argocd/hydrated is not refreshed: a source hydrator skips a commit that it has rendered, and retries only one that failed; to have it render the result: git add apps/a/dynamo.lock && git commit"}, outcomes[0].notes)
	require.Empty(t, outcomes[1].refreshed)
	require.Empty(t, outcomes[1].notes)
	require.Equal(t, []string{"argocd/broken"}, outcomes[2].refreshed)
	require.Empty(t, outcomes[3].refreshed)
	require.Equal(t, []string{"argocd/same-inputs"}, outcomes[4].refreshed)
	require.Equal(t, []string{"no Application in namespace argocd renders apps/e of git.example.com/inference/gitops-repo; to name the repository as they do: --repo-url"}, outcomes[5].notes)
	require.Equal(t, []string{"a", "a-too", "broken", "discovered", "same-inputs", "unnamed"}, marked(t, client))
}

// An Application of a kustomization renders the requests of what it builds from.
func TestRefreshFollowsKustomizations(t *testing.T) {
	root := t.TempDir()
	for name, data := range map[string]string{
		"sites/east/kustomization.yaml": "resources: [../../apps/a]\n",
		"sites/west/kustomization.yaml": "resources: [../../apps/b]\n",
		"apps/a/dgdr.yaml":              "kind: DynamoGraphDeploymentRequest\n",
		"apps/a/kustomization.yaml":     "resources: [dgdr.yaml]\n",
		"apps/b/kustomization.yaml":     "resources: []\n",
		"kustomization.yaml":            "resources: [apps/a/dgdr.yaml]\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(data), 0o644))
	}
	client := cluster(
		anApplication("east", one(source(gitopsURL, "sites/east"))),
		anApplication("root", one(source(gitopsURL, ""))),
		anApplication("west", one(source(gitopsURL, "sites/west"))),
		anApplication("gone", one(source(gitopsURL, "sites/gone"))),
		anApplication("outside", one(source(gitopsURL, "../apps/a"))),
	)
	outcomes := []outcome{answered(root, "apps/a", statusProfiled, "sha256:1")}
	r := &refresher{client: client, namespace: "argocd", repoURL: gitopsURL}
	require.NoError(t, r.refresh(t.Context(), outcomes))
	require.Equal(t, []string{"argocd/east", "argocd/root"}, outcomes[0].refreshed)
}

// A forced result that the key's tag does not name is not there for who goes by key.
func TestRefreshOfOutrankedResult(t *testing.T) {
	client := cluster(anApplication("a", one(source(gitopsURL, "apps/a"))))
	o := answered(t.TempDir(), "apps/a", statusProfiled, "sha256:2")
	o.outranked = "sha256:1"
	outcomes := []outcome{o}
	r := &refresher{client: client, repoURL: gitopsURL}
	require.NoError(t, r.refresh(t.Context(), outcomes))
	require.Empty(t, outcomes[0].refreshed)
	require.Equal(t, []string{"no Application is refreshed: the store goes on answering the key with sha256:1, which came first; to have the new result rendered: git add apps/a/dynamo.lock && git commit"}, outcomes[0].notes)
	require.Empty(t, marked(t, client))
}

// Applications that cannot be marked are named, once, and the others are marked.
func TestRefreshFailures(t *testing.T) {
	client := cluster(anApplication("denied", one(source(gitopsURL, "x"))), anApplication("fine", one(source(gitopsURL, "x"))))
	client.PrependReactor("patch", "applications", func(action k8stesting.Action) (bool, runtime.Object, error) {
		if action.(k8stesting.PatchAction).GetName() == "denied" {
			return true, nil, errors.New("forbidden")
		}
		return false, nil, nil
	})
	root := t.TempDir()
	outcomes := []outcome{answered(root, "x", statusProfiled, "sha256:1"), answered(root, "x", statusProfiled, "sha256:1")}
	r := &refresher{client: client, namespace: "argocd", repoURL: gitopsURL}
	require.EqualError(t, r.refresh(t.Context(), outcomes),
		"refreshing Application argocd/denied: forbidden; its result is stored; to have Argo CD look: argocd app get argocd/denied --hard-refresh")
	require.Equal(t, []string{"argocd/fine"}, outcomes[1].refreshed)
}

// Every checkout has a remote of its own; one without stops no other.
func TestRefreshByOrigin(t *testing.T) {
	bare, cloned := t.TempDir(), t.TempDir()
	require.NoError(t, exec.Command("git", "-C", bare, "init", "--quiet").Run())
	require.NoError(t, exec.Command("git", "-C", cloned, "init", "--quiet").Run())
	require.NoError(t, exec.Command("git", "-C", cloned, "remote", "add", "origin", "git@git.example.com:inference/gitops-repo.git").Run())
	outcomes := []outcome{answered(bare, "apps/a", statusProfiled, "sha256:1"), answered(cloned, "apps/a", statusProfiled, "sha256:1")}
	r := &refresher{client: cluster(anApplication("a", one(source(gitopsURL, "apps/a"))))}
	require.EqualError(t, r.refresh(t.Context(), outcomes), bare+" has no git remote origin by which to find its Applications; to name it: --repo-url")
	require.Empty(t, outcomes[0].refreshed)
	require.Equal(t, []string{"argocd/a"}, outcomes[1].refreshed)
}

func TestSameRepository(t *testing.T) {
	const want = "https://git.example.com/team/repo.git"
	for _, url := range []string{
		"https://git.example.com/team/repo", "https://git.example.com/team/repo/", "https://token@git.example.com/team/repo.git",
		"git@git.example.com:team/repo.git", "ssh://git@git.example.com:2222/team/repo", "HTTPS://Git.Example.com/Team/Repo.git",
		"https://user:secret@git.example.com:443/team/repo.git/",
	} {
		require.True(t, sameRepository(url, want), url)
	}
	for _, url := range []string{"", "https://git.example.com/team/other", "https://example.com/team/repo", "https://git.example.com/team/repo/sub"} {
		require.False(t, sameRepository(url, want), url)
	}
	require.True(t, sameRepository("file:///srv/repo", "file:///srv/repo.git"))
	require.True(t, sameRepository("/srv/repo", "file:///srv/repo.git"))
}

// What the example grants is what a refresh does, to the account that it ships.
func TestRefreshRights(t *testing.T) {
	kinds := requireRights(t, "refresh", "Role", applicationResource, "list", "patch")
	for _, kind := range []string{"Role", "RoleBinding"} {
		require.Equal(t, "argocd", kinds[kind]["metadata"].(map[string]any)["namespace"])
	}
}
