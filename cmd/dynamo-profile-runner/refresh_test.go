package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"
)

// application is an Argo CD Application with the given spec.
func application(name string, spec map[string]any) *unstructured.Unstructured {
	app := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{"name": name, "namespace": "argocd"}, "spec": spec,
	}}
	app.SetUID(types.UID(name))
	return app
}

func source(url, path string) map[string]any {
	return map[string]any{"repoURL": url, "path": path, "plugin": map[string]any{"name": "dynamo-cmp"}}
}

func cluster(apps ...runtime.Object) *fake.FakeDynamicClient {
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{applicationResource: "ApplicationList"}, apps...)
}

func TestRefreshMarksWhatRenders(t *testing.T) {
	const repo = "https://git.example.com/inference/gitops-repo.git"
	broken := application("broken", map[string]any{"source": source(repo, "apps/b")})
	broken.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "ComparisonError"}}}
	client := cluster(broken,
		application("a", map[string]any{"source": source("git@git.example.com:inference/gitops-repo", "apps/a")}),
		application("a-too", map[string]any{"sources": []any{source(repo, "other"), source(repo, "./apps/a/")}}),
		application("b-works", map[string]any{"source": source(repo, "apps/b")}),
		application("elsewhere", map[string]any{"source": source("https://git.example.com/inference/other", "apps/a")}),
		application("failed", map[string]any{"source": source(repo, "apps/c")}),
		application("hydrated", map[string]any{"sourceHydrator": map[string]any{"drySource": source(repo, "apps/a")}}),
	)
	outcomes := []outcome{
		{job: job{root: "/repo", dir: "/repo/apps/a"}, status: statusProfiled},
		{job: job{root: "/repo", dir: "/repo/apps/a"}, status: statusHit},
		{job: job{root: "/repo", dir: "/repo/apps/b"}, status: statusHit},
		{job: job{root: "/repo", dir: "/repo/apps/c"}, status: statusProfiled, err: errors.New("no result")},
	}
	r := &refresher{client: client, namespace: "argocd", repoURL: repo}
	require.NoError(t, r.refresh(t.Context(), outcomes))
	require.Equal(t, []string{"argocd/a", "argocd/a-too"}, outcomes[0].refreshed)
	require.Empty(t, outcomes[1].refreshed)
	require.Equal(t, []string{"argocd/broken"}, outcomes[2].refreshed)
	require.Empty(t, outcomes[3].refreshed)

	list, err := client.Resource(applicationResource).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var marked []string
	for _, app := range list.Items {
		if app.GetAnnotations()["argocd.argoproj.io/refresh"] == "hard" {
			marked = append(marked, app.GetName())
		}
	}
	require.Equal(t, []string{"a", "a-too", "broken"}, marked)
}

// Applications that cannot be marked are named, once, and the others are marked.
func TestRefreshFailures(t *testing.T) {
	const repo = "https://git.example.com/a.git"
	client := cluster(application("denied", map[string]any{"source": source(repo, "x")}), application("fine", map[string]any{"source": source(repo, "x")}))
	client.PrependReactor("patch", "applications", func(action k8stesting.Action) (bool, runtime.Object, error) {
		if action.(k8stesting.PatchAction).GetName() == "denied" {
			return true, nil, errors.New("forbidden")
		}
		return false, nil, nil
	})
	done := outcome{job: job{root: "/repo", dir: "/repo/x"}, status: statusProfiled}
	outcomes := []outcome{done, done}
	r := &refresher{client: client, namespace: "argocd", repoURL: repo}
	require.EqualError(t, r.refresh(t.Context(), outcomes),
		"refreshing Application denied: forbidden; its result is stored; to have Argo CD look: argocd app get denied --hard-refresh")
	require.Equal(t, []string{"argocd/fine"}, outcomes[1].refreshed)

	r.repoURL = ""
	outcomes[0].job.root = t.TempDir()
	require.ErrorContains(t, r.refresh(t.Context(), outcomes), "has no git remote origin by which to find its Applications; to name it: --repo-url")
}

func TestSameRepository(t *testing.T) {
	const want = "https://git.example.com/team/repo.git"
	for _, url := range []string{
		"https://git.example.com/team/repo", "https://git.example.com/team/repo/", "https://token@git.example.com/team/repo.git",
		"git@git.example.com:team/repo.git", "ssh://git@git.example.com:2222/team/repo", "HTTPS://Git.Example.com/Team/Repo.git",
	} {
		require.True(t, sameRepository(url, want), url)
	}
	for _, url := range []string{"", "https://git.example.com/team/other", "https://example.com/team/repo", "https://git.example.com/team/repo/sub"} {
		require.False(t, sameRepository(url, want), url)
	}
	require.True(t, sameRepository("file:///srv/repo", "file:///srv/repo.git"))
}
