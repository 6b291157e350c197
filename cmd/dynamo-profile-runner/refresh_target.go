package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// pluginName is metadata.name of plugin.yaml.
const pluginName = "dynamo-cmp"

// checkout is a repository as Argo CD sees it.
type checkout struct {
	url     string
	targets []target // in the order of the API server
}

// target is an Application that may render requests of a checkout.
type target struct {
	namespace, name string
	dirs            map[string]bool // that it renders, below the root of the repository
	broken          bool            // Argo CD could not render it
	hydrated        bool            // the source hydrator renders it
}

func (t target) id() string { return t.namespace + "/" + t.name }

// application is what we read of an Argo CD Application.
type application struct {
	Spec struct {
		Source         appSource   `json:"source"`
		Sources        []appSource `json:"sources"` // replace Source
		SourceHydrator *struct {
			DrySource appSource `json:"drySource"`
		} `json:"sourceHydrator"` // replaces both
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type string `json:"type"`
		} `json:"conditions"`
	} `json:"status"`
}

type appSource struct {
	RepoURL string `json:"repoURL"`
	Path    string `json:"path"`
	Plugin  *struct {
		Name string `json:"name"`
	} `json:"plugin"`
	Helm      map[string]any `json:"helm"`
	Kustomize map[string]any `json:"kustomize"`
	Directory map[string]any `json:"directory"`
}

// sources are those that Argo CD renders.
func (a *application) sources() []appSource {
	switch {
	case a.Spec.SourceHydrator != nil:
		return []appSource{a.Spec.SourceHydrator.DrySource}
	case len(a.Spec.Sources) > 0:
		return a.Spec.Sources
	}
	return []appSource{a.Spec.Source}
}

// ours reports whether the plugin may render the source: it is named, or discovery
// decides. A refresh too many costs one render, one too few hides a result.
func (s appSource) ours() bool {
	if s.Plugin != nil {
		return s.Plugin.Name == "" || s.Plugin.Name == pluginName
	}
	return s.Helm == nil && s.Kustomize == nil && s.Directory == nil
}

// find notes the Applications with sources in the repository. A kustomization
// renders the requests of every directory that it builds from.
func (c *checkout) find(root string, apps []unstructured.Unstructured) error {
	tree, _, err := render.OpenTree(root)
	if err != nil {
		return err
	}
	defer tree.Close()
	var errs []error
	for _, item := range apps {
		var app application
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &app); err != nil {
			errs = append(errs, fmt.Errorf("reading Application %s/%s: %w", item.GetNamespace(), item.GetName(), err))
			continue
		}
		dirs := map[string]bool{}
		for _, s := range app.sources() {
			if !s.ours() || !sameRepository(s.RepoURL, c.url) {
				continue
			}
			dir := path.Clean(s.Path)
			dirs[dir] = true
			if reach := tree.Reach(dir); reach != nil {
				for _, d := range reach.Dirs {
					dirs[d] = true
				}
			}
		}
		if len(dirs) == 0 {
			continue
		}
		broken := false
		for _, condition := range app.Status.Conditions {
			broken = broken || condition.Type == "ComparisonError"
		}
		c.targets = append(c.targets, target{
			namespace: item.GetNamespace(), name: item.GetName(), dirs: dirs, broken: broken, hydrated: app.Spec.SourceHydrator != nil,
		})
	}
	return errors.Join(errs...)
}

// sameRepository compares two URLs of git repositories without what differs between
// the ways to reach one: scheme, user, port and the ending .git.
func sameRepository(a, b string) bool {
	return a != "" && plainURL(a) == plainURL(b)
}

func plainURL(s string) string {
	s = strings.TrimSuffix(strings.TrimRight(strings.ToLower(strings.TrimSpace(s)), "/"), ".git")
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
