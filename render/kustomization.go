package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// reader goes through the fields of one kustomization, reads what they name and
// rewrites each path into the form that cannot be taken for anything remote.
type reader struct {
	*closure
	layer *layer
	visit *visit
}

func (r reader) all() {
	k := &r.layer.spec
	if len(k.HelmCharts) > 0 || k.HelmGlobals != nil {
		r.fault(r.layer.source(), "helmCharts", "a render starts no Helm; to use the chart, commit what helm template prints")
	}
	r.resources(k.Resources)
	for i, p := range k.Components {
		field := fmt.Sprintf("components[%d]", i)
		if rel, dir, ok := r.directory(field, p); ok {
			k.Components[i] = r.use(field, rel, dir)
		}
	}
	for i, p := range k.Crds {
		r.file(fmt.Sprintf("crds[%d]", i), p, &k.Crds[i])
	}
	for i, p := range k.Configurations {
		r.file(fmt.Sprintf("configurations[%d]", i), p, &k.Configurations[i])
	}
	if p, ok := k.OpenAPI["path"]; ok {
		r.file("openapi.path", p, &p)
		k.OpenAPI["path"] = p
	}
	r.patches()
	for i := range k.Replacements {
		if p := &k.Replacements[i].Path; *p != "" {
			r.file(fmt.Sprintf("replacements[%d].path", i), *p, p)
		}
	}
	for i := range k.ConfigMapGenerator {
		r.generated(fmt.Sprintf("configMapGenerator[%d]", i), &k.ConfigMapGenerator[i].KvPairSources)
	}
	for i := range k.SecretGenerator {
		r.generated(fmt.Sprintf("secretGenerator[%d]", i), &k.SecretGenerator[i].KvPairSources)
	}
	r.plugins("generators", k.Generators)
	r.plugins("transformers", k.Transformers)
	r.plugins("validators", k.Validators)
}

// resources are files or directories with a kustomization.
func (r reader) resources(paths []string) {
	for i, p := range paths {
		field := fmt.Sprintf("resources[%d]", i)
		rel, ok := r.local(r.layer, field, p)
		if !ok {
			continue
		}
		info, err := r.tree.stat(path.Join(r.layer.dir, rel))
		if err == nil && info.IsDir() {
			if rel, dir, ok := r.directory(field, p); ok {
				paths[i] = r.use(field, rel, dir)
			}
			continue
		}
		paths[i] = rel
		data, ok := r.load(path.Join(r.layer.dir, rel), r.layer.source(), field)
		if !ok {
			continue
		}
		docs, err := profile.Documents(path.Join(r.layer.dir, rel), data)
		if err != nil {
			r.problems = append(r.problems, problemsOf(rel, err)...)
			continue
		}
		r.visit.resources += len(docs)
		r.grow(docs)
		r.named(docs)
		place := path.Join(r.layer.at, rel)
		if !slices.ContainsFunc(docs, profile.Document.IsRequest) {
			r.files[place] = data
			r.docs = append(r.docs, docs...)
			continue
		}
		r.visit.requests = true
		for r.holders[place].docs != nil { // a file beside the directory is shared by its copies
			place, paths[i] = place+"~", paths[i]+"~"
		}
		r.holders[place] = holder{docs: docs, first: len(r.written)}
		for _, d := range docs {
			if d.IsRequest() {
				r.written = append(r.written, d)
			} else {
				r.docs = append(r.docs, d)
			}
		}
	}
}

// grow counts documents that the build holds in memory.
func (r reader) grow(docs []profile.Document) {
	for _, d := range docs {
		r.visit.size += sizeOf(d.Root)
	}
}

// named holds that each document has a name, by which kustomize knows it.
func (r reader) named(docs []profile.Document) {
	for _, d := range docs {
		if d.Name == "" && !strings.HasSuffix(d.Kind, "List") && child(child(d.Root, "metadata"), "generateName") == nil {
			r.problems = append(r.problems, profile.Problem{File: d.File, Line: d.Line, Path: "metadata.name", Message: "is missing: kustomize knows an object by its name"})
		}
	}
}

// directory resolves the links in the path of a directory with a kustomization:
// what that names is relative to where it really is.
func (r reader) directory(field, p string) (rel, dir string, ok bool) {
	rel, ok = r.local(r.layer, field, p)
	if !ok {
		return "", "", false
	}
	dir, err := r.tree.resolve(path.Join(r.layer.dir, rel))
	if err != nil {
		r.fault(r.layer.source(), field, "%s", err)
		return "", "", false
	}
	return rel, dir, true
}

// use visits a directory and returns the path to its place.
func (r reader) use(field, rel, dir string) string {
	v := r.closure.visit(dir, func(format string, args ...any) {
		r.fault(r.layer.source(), field, "%s: %s", strings.TrimPrefix(rel, "./"), fmt.Sprintf(format, args...))
	})
	r.visit.resources += v.resources
	r.visit.size += v.size
	r.visit.requests = r.visit.requests || v.requests
	return relative(r.layer.at, v.at)
}

// relative is the path from one directory below the root to another.
func relative(from, to string) string {
	up := ""
	for from != "." && from != to && !strings.HasPrefix(to, from+"/") {
		from, up = path.Dir(from), up+"../"
	}
	if from != "." {
		to = strings.TrimPrefix(strings.TrimPrefix(to, from), "/")
	}
	return dotted(path.Clean(up + to))
}

// file reads a file that a field names and rewrites the field.
func (r reader) file(field, p string, rewritten *string) []byte {
	rel, ok := r.local(r.layer, field, p)
	if !ok {
		return nil
	}
	data, ok := r.load(path.Join(r.layer.dir, rel), r.layer.source(), field)
	if !ok {
		return nil
	}
	*rewritten = rel
	r.files[path.Join(r.layer.at, rel)] = data
	return data
}

func (r reader) patches() {
	k := &r.layer.spec
	for i, entry := range k.PatchesStrategicMerge {
		field := fmt.Sprintf("patchesStrategicMerge[%d]", i)
		if inline(string(entry)) {
			r.bounded(field, []byte(entry))
			continue
		}
		p := string(entry)
		r.bounded(field, r.file(field, p, &p))
		k.PatchesStrategicMerge[i] = types.PatchStrategicMerge(p)
	}
	r.patchList("patches", k.Patches)
	r.patchList("patchesJson6902", k.PatchesJson6902)
}

func (r reader) patchList(name string, list []types.Patch) {
	for i := range list {
		field, p := fmt.Sprintf("%s[%d]", name, i), &list[i]
		if p.Path == "" {
			r.bounded(field, []byte(p.Patch))
		} else {
			r.bounded(field, r.file(field+".path", p.Path, &p.Path))
		}
	}
}

// bounded refuses a patch whose aliases expand without bound.
func (r reader) bounded(field string, patch []byte) {
	docs, err := profile.Documents(r.layer.source(), patch)
	r.grow(docs)
	if err != nil {
		for _, p := range problemsOf(r.layer.source(), err) {
			r.fault(p.File, field, "line %d: %s", p.Line, p.Message)
		}
	}
}

// inline tells content from the path of a file, where kustomize takes both.
func inline(s string) bool {
	return strings.ContainsAny(s, "\n{") || strings.Contains(s, ": ")
}

// generated reads the sources of a generated ConfigMap or Secret.
func (r reader) generated(field string, s *types.KvPairSources) {
	for i, entry := range s.FileSources {
		key, p, named := strings.Cut(entry, "=")
		if !named {
			key, p = "", entry
		}
		r.visit.size += len(r.file(fmt.Sprintf("%s.files[%d]", field, i), p, &p))
		if named {
			p = key + "=" + p
		}
		s.FileSources[i] = p
	}
	for i, p := range s.EnvSources {
		r.visit.size += len(r.file(fmt.Sprintf("%s.envs[%d]", field, i), p, &s.EnvSources[i]))
	}
}

// plugins reads the configuration of generators and transformers. Only those that
// are part of kustomize run here.
func (r reader) plugins(name string, entries []string) {
	for i, entry := range entries {
		field := fmt.Sprintf("%s[%d]", name, i)
		data := []byte(entry)
		if !inline(entry) {
			if data = r.file(field, entry, &entries[i]); data == nil {
				continue
			}
		}
		docs, err := profile.Documents(r.layer.source(), data)
		if err != nil {
			r.bounded(field, data)
			continue
		}
		for _, d := range docs {
			if d.APIVersion != "builtin" || d.Kind == "HelmChartInflationGenerator" || annotated(d.Root) {
				r.fault(r.layer.source(), field, "%s %q would run a program, and a render runs none; only kustomize's own generators and transformers (apiVersion: builtin) work here", d.Kind, d.Name)
				continue
			}
			r.pluginFiles(field, d.Root)
		}
	}
}

// annotated says whether a plugin is a function in a container or an executable.
func annotated(root *yaml.Node) bool {
	notes := child(child(root, "metadata"), "annotations")
	return child(notes, "config.kubernetes.io/function") != nil || child(notes, "config.k8s.io/function") != nil
}

// pluginFiles reads the files that the configuration of a built-in plugin names.
// Keys match in any case, as kustomize reads them.
func (r reader) pluginFiles(field string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		value := n.Content[i+1]
		switch strings.ToLower(n.Content[i].Value) {
		case "path", "paths", "files", "envs", "env":
			for _, p := range append(slices.Clone(value.Content), value) {
				_, file, named := strings.Cut(p.Value, "=")
				if !named {
					file = p.Value
				}
				if p.Kind == yaml.ScalarNode && file != "" && !inline(file) {
					r.file(field, file, &file)
				}
			}
		case "replacements":
			for _, item := range value.Content {
				r.pluginFiles(field, item)
			}
		}
	}
}

// child is the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
