package main

import (
	"context"
	"errors"
	"fmt"
	"path"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

var applicationResource = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

// hardRefresh is the annotation that has Argo CD render past its caches, once
// (argo-cd, docs/user-guide/annotations-and-labels.md).
const hardRefresh = `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"hard"}}}`

// refresher marks the Argo CD Applications that render a request, so that a result
// which lands without a commit is seen. A nil one marks nothing.
type refresher struct {
	client    dynamic.Interface
	namespace string // of the Applications; empty for all
	repoURL   string // of the repository in the Applications; empty for each checkout's remote origin
}

// newRefresher reaches the cluster that KUBECONFIG, the usual file, or the pod's own
// service account names. It is nil where nobody asked to refresh.
func newRefresher(o runOptions) (*refresher, error) {
	if !o.refresh {
		return nil, nil
	}
	if o.store == "" {
		return nil, &usageError{errors.New("--refresh-applications needs --store, which the plugin reads as well: a result in the repository itself reaches Argo CD by a commit")}
	}
	config, _, err := clusterConfig("", "")
	if err != nil {
		return nil, fmt.Errorf("--refresh-applications: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("--refresh-applications: %w", err)
	}
	return &refresher{client: client, namespace: o.argocdNamespace, repoURL: o.repoURL}, nil
}

// refresh marks the Applications of the outcomes, and notes them there. A new result
// marks every Application that renders its request, one that was there before only
// those that show an error: it may have landed just before a runner died.
func (r *refresher) refresh(ctx context.Context, outcomes []outcome) error {
	if r == nil {
		return nil
	}
	list, err := r.client.Resource(applicationResource).Namespace(r.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing Applications: %w; the results are stored; to have Argo CD look: argocd app get NAME --hard-refresh", err)
	}
	fresh := map[cache.Digest]bool{} // requests with equal inputs share one
	for _, o := range outcomes {
		if o.status == statusProfiled {
			fresh[o.digest] = true
		}
	}
	m := marking{refresher: r, done: map[string]error{}}
	known := map[string]*checkout{}
	for i := range outcomes {
		o := &outcomes[i]
		if o.digest == "" {
			continue
		}
		c, ok := known[o.job.root]
		if !ok {
			c, err = r.checkout(ctx, o.job.root, list.Items)
			known[o.job.root] = c
			m.errs = append(m.errs, err)
		}
		if c != nil {
			m.outcome(ctx, c, o, fresh[o.digest])
		}
	}
	return errors.Join(m.errs...)
}

// marking is one refresh: what was marked, and what could not be.
type marking struct {
	*refresher
	done map[string]error
	errs []error
}

// outcome marks the Applications that render the request of one outcome.
func (m *marking) outcome(ctx context.Context, c *checkout, o *outcome, fresh bool) {
	lock := path.Join(o.job.rel, cache.LockFile)
	if fresh && o.outranked != "" {
		o.notes = append(o.notes, fmt.Sprintf("no Application is refreshed: the store goes on answering the key with %s, which came first; to have the new result rendered: git add %s && git commit", o.outranked, lock))
		return
	}
	rendered := false
	for _, t := range c.targets {
		if !t.dirs[path.Clean(o.job.rel)] {
			continue
		}
		rendered = true
		switch {
		case !fresh && !t.broken:
		case t.hydrated:
			o.notes = append(o.notes, fmt.Sprintf("Application %s is not refreshed: a source hydrator skips a commit that it has rendered, and retries only one that failed; to have it render the result: git add %s && git commit", t.id(), lock))
		case m.mark(ctx, t):
			o.refreshed = append(o.refreshed, t.id())
		}
	}
	if fresh && !rendered {
		o.notes = append(o.notes, fmt.Sprintf("no Application in %s renders %s of %s; to name the repository as they do: --repo-url", m.where(), o.job.rel, plainURL(c.url)))
	}
}

// mark marks an Application once, and reports whether it is marked.
func (m *marking) mark(ctx context.Context, t target) bool {
	err, done := m.done[t.id()]
	if done {
		return err == nil
	}
	_, err = m.client.Resource(applicationResource).Namespace(t.namespace).
		Patch(ctx, t.name, types.MergePatchType, []byte(hardRefresh), metav1.PatchOptions{FieldManager: "dynamo-profile-runner"})
	if err != nil {
		m.errs = append(m.errs, fmt.Errorf("refreshing Application %s: %w; its result is stored; to have Argo CD look: argocd app get %s --hard-refresh",
			t.id(), err, t.id()))
	}
	m.done[t.id()] = err
	return err == nil
}

func (r *refresher) where() string {
	if r.namespace == "" {
		return "any namespace"
	}
	return "namespace " + r.namespace
}

// checkout finds the Applications whose sources are in the repository of a checkout.
func (r *refresher) checkout(ctx context.Context, root string, apps []unstructured.Unstructured) (*checkout, error) {
	c := &checkout{url: r.repoURL}
	if c.url == "" {
		url, err := openGit(root, "").origin(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s has no git remote origin by which to find its Applications; to name it: --repo-url", root)
		}
		c.url = url
	}
	return c, c.find(root, apps)
}
