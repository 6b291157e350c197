package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

var applicationResource = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

// hardRefresh is the annotation that has Argo CD render past its caches, once
// (argo-cd, docs/user-guide/annotations-and-labels.md).
const hardRefresh = `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"hard"}}}`

// refresher marks the Argo CD Applications that render a request, so that a result
// which lands without a commit is seen.
type refresher struct {
	client    dynamic.Interface
	namespace string // of the Applications; empty for all
	repoURL   string // of the repository in the Applications; empty for each checkout's remote origin
}

// newRefresher reaches the cluster that KUBECONFIG, the usual file, or the pod's own
// service account names.
func newRefresher(namespace, repoURL string) (*refresher, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("--refresh-applications: finding a cluster: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("--refresh-applications: %w", err)
	}
	return &refresher{client: client, namespace: namespace, repoURL: repoURL}, nil
}

// refresh marks the Applications of the outcomes, and notes them there. A new result
// marks every Application that renders its request, one that was there before only
// those that show an error: it may have landed just before a runner died.
func (r *refresher) refresh(ctx context.Context, outcomes []outcome) error {
	list, err := r.client.Resource(applicationResource).Namespace(r.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing Applications: %w; the results are stored; to have Argo CD look: argocd app get NAME --hard-refresh", err)
	}
	var errs []error
	marked := map[types.UID]error{}
	for i := range outcomes {
		o := &outcomes[i]
		if o.err != nil {
			continue
		}
		repo, err := r.repository(ctx, o.job.root)
		if err != nil {
			errs = append(errs, err)
			break
		}
		for _, app := range list.Items {
			if o.status != statusProfiled && !showsError(app) || !renders(app, repo, o.job) {
				continue
			}
			err, done := marked[app.GetUID()]
			if !done {
				err = r.mark(ctx, app)
				marked[app.GetUID()] = err
				errs = append(errs, err)
			}
			if err == nil {
				o.refreshed = append(o.refreshed, app.GetNamespace()+"/"+app.GetName())
			}
		}
	}
	return errors.Join(errs...)
}

func (r *refresher) mark(ctx context.Context, app unstructured.Unstructured) error {
	_, err := r.client.Resource(applicationResource).Namespace(app.GetNamespace()).
		Patch(ctx, app.GetName(), types.MergePatchType, []byte(hardRefresh), metav1.PatchOptions{FieldManager: "dynamo-profile-runner"})
	if err != nil {
		return fmt.Errorf("refreshing Application %s: %w; its result is stored; to have Argo CD look: argocd app get %s --hard-refresh",
			app.GetName(), err, app.GetName())
	}
	return nil
}

// repository is the URL by which Applications name the checkout.
func (r *refresher) repository(ctx context.Context, root string) (string, error) {
	if r.repoURL != "" {
		return r.repoURL, nil
	}
	out, err := exec.CommandContext(ctx, "git", "-C", root, "config", "--get", "remote.origin.url").Output()
	if err != nil {
		return "", fmt.Errorf("%s has no git remote origin by which to find its Applications; to name it: --repo-url", root)
	}
	return strings.TrimSpace(string(out)), nil
}

// renders reports whether a source of the Application is the directory of the job.
// The dry source of a hydrator is none: it skips a commit that it has seen.
func renders(app unstructured.Unstructured, repo string, j job) bool {
	sources, _, _ := unstructured.NestedSlice(app.Object, "spec", "sources")
	if source, found, _ := unstructured.NestedMap(app.Object, "spec", "source"); found {
		sources = append(sources, source)
	}
	dir, err := filepath.Rel(j.root, j.dir)
	if err != nil {
		return false
	}
	for _, s := range sources {
		source, _ := s.(map[string]any)
		url, _ := source["repoURL"].(string)
		sub, _ := source["path"].(string)
		if sameRepository(url, repo) && path.Clean(sub) == filepath.ToSlash(dir) {
			return true
		}
	}
	return false
}

// showsError reports whether Argo CD could not render the Application.
func showsError(app unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(app.Object, "status", "conditions")
	for _, c := range conditions {
		if c, _ := c.(map[string]any); c["type"] == "ComparisonError" {
			return true
		}
	}
	return false
}

// sameRepository compares two URLs of git repositories without what differs between
// the ways to reach one: scheme, user, port and the ending .git.
func sameRepository(a, b string) bool {
	return a != "" && plainURL(a) == plainURL(b)
}

func plainURL(s string) string {
	s = strings.TrimSuffix(strings.TrimRight(strings.ToLower(s), "/"), ".git")
	if !strings.Contains(s, "://") {
		// user@host:path, as scp writes it
		if host, rest, ok := strings.Cut(s, ":"); ok && !strings.Contains(host, "/") {
			s = "ssh://" + host + "/" + rest
		}
	}
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	return u.Hostname() + path.Clean("/"+u.Path)
}
