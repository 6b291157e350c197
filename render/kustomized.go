package render

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// kustomized is a directory with a kustomization on its way to the manifests. It
// is built twice: once to learn what its DGDRs become by patches and prefixes,
// then with what is generated from them standing beside each. All of kustomize
// applies to the generated objects as if they were written where the DGDR is.
type kustomized struct {
	*closure
	final  map[int]variant // by number of the DGDR
	config []byte          // the DynamoCMPConfig as the first build leaves it
}

// variant is a DGDR as the kustomizations leave it.
type variant struct {
	request *profile.Request
	json    []byte
}

// loadKustomized reads what the kustomization in dir builds from, and what its
// DGDRs become.
func (t *Tree) loadKustomized(dir string) (*Source, error) {
	defaults, problems := t.defaults(dir)
	k := &kustomized{closure: readClosure(t, dir), final: map[int]variant{}}
	problems = append(problems, once(k.problems)...)
	if len(problems) > 0 {
		return nil, problems
	}
	src := &Source{Dir: dir, kustomized: k}
	if len(k.written) == 0 && !slices.ContainsFunc(k.docs, profile.Document.IsConfig) {
		return src, nil
	}
	built, err := k.run(k.lenient, nil)
	if err != nil {
		return nil, err
	}
	configs, err := k.configOf(built.Resources())
	if err != nil {
		return nil, err
	}
	problems = append(problems, src.settle(configs, &defaults)...)
	found := map[int]*resource.Resource{}
	for _, r := range built.Resources() {
		number, _, ok, err := markOf(r)
		if err != nil {
			return nil, err
		}
		if ok {
			found[number] = r
		}
	}
	for _, number := range slices.Sorted(maps.Keys(found)) {
		v, doc, err := k.variant(number, found[number])
		if err != nil {
			problems = append(problems, problemsOf(doc.File, err)...)
			continue
		}
		if !doc.IsRequest() {
			problems = append(problems, profile.Problem{File: doc.File, Line: doc.Line, Message: fmt.Sprintf(
				"the kustomization makes the DGDR a %s %s; to do without it, delete it", doc.APIVersion, doc.Kind)})
			continue
		}
		problems = append(problems, src.take(doc, defaults)...)
		if n := len(src.Requests); n > 0 {
			v.request = src.Requests[n-1]
		}
		k.final[number] = v
	}
	return src.valid(problems)
}

// variant is a DGDR with the positions of the file that it is written in, as far
// as its values are those of the file.
func (k *kustomized) variant(number int, r *resource.Resource) (variant, profile.Document, error) {
	written := k.written[number]
	v := variant{}
	var err error
	if v.json, err = r.MarshalJSON(); err != nil {
		return v, written, err
	}
	docs, err := profile.Documents(written.File, v.json)
	if err != nil {
		return v, written, fmt.Errorf("as the kustomization leaves it: %w", err)
	}
	doc := docs[0]
	doc.Index, doc.Line = written.Index, written.Line
	relocate(doc.Root, written.Root)
	return v, doc, nil
}

// relocate gives the values of a document the lines of the equal ones in the
// document that it was made from; what differs has no line.
func relocate(n, from *yaml.Node) {
	n.Line = 0
	if from == nil || from.Kind != n.Kind {
		from = &yaml.Node{}
	} else if n.Kind != yaml.ScalarNode || n.Value == from.Value {
		n.Line = from.Line
	}
	for i, item := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			var old *yaml.Node
			if i < len(from.Content) {
				old = from.Content[i]
			}
			relocate(item, old)
		case i%2 == 1:
			old := child(from, n.Content[i-1].Value)
			relocate(item, old)
			n.Content[i-1].Line = item.Line
		}
	}
}

// run builds the directory with every kustomization as edit leaves it.
func (k *kustomized) run(edit func(*layer) types.Kustomization, standing map[int][]object) (resmap.ResMap, error) {
	fsys, err := k.stage(edit, standing)
	if err != nil {
		return nil, err
	}
	top := k.layers[0]
	ownSchema := slices.ContainsFunc(k.layers, func(l *layer) bool { return len(l.spec.OpenAPI) > 0 })
	built, err := kustomize(fsys, "/"+top.at, ownSchema)
	if err != nil {
		return nil, profile.Problems{{File: top.source(), Message: k.explain(err, standing)}}
	}
	return built, nil
}

// What kustomize says around an error: that a file is no directory either, each
// level that the error passed, the configuration it came from, names of ours for
// what is read twice, and its own annotations.
var (
	neither = regexp.MustCompile(`accumulation err='(.*)': must build at directory: '[^']*': file is not directory`)
	nested  = regexp.MustCompile(`accumulation err='[^']*': |accumulating (resources|components): |(accumulating|merging) resources from '[^']*': |` +
		`recursed (accumulation of|merging from) path '[^']*': |accumulateDirectory: |trouble configuring builtin \w+ with config: .[^\x60]*.: |` +
		`: no matches for Id [^;]*; failed to find unique target for patch \S*`)
	copied = regexp.MustCompile(`~\d*(/|'|$)`)
	inward = regexp.MustCompile(`(in object) \{\{(\S+ \S+)\} .*\}\}`)
)

// explain shortens an error of kustomize to what it is about, and says which
// deployments there are where none is found.
func (k *kustomized) explain(err error, standing map[int][]object) string {
	message := strings.Join(strings.Fields(err.Error()), " ")
	message = nested.ReplaceAllString(neither.ReplaceAllString(message, "$1"), "")
	message = inward.ReplaceAllString(copied.ReplaceAllString(message, "$1"), "$1 $2")
	if !strings.Contains(message, deploymentKind+".") || strings.Contains(message, requestKind) {
		return message
	}
	var names []string
	for _, number := range slices.Sorted(maps.Keys(standing)) {
		for _, obj := range standing[number] {
			if meta, _ := obj["metadata"].(object); obj["kind"] == deploymentKind {
				names = append(names, fmt.Sprintf("%v (%v)", meta["name"], obj["apiVersion"]))
			}
		}
	}
	if len(names) > 0 {
		message += "; generated are " + strings.Join(names, ", ")
	}
	return message
}

// once drops what is said twice: a kustomization that is used twice is read twice.
func once(problems profile.Problems) profile.Problems {
	seen := map[profile.Problem]bool{}
	return slices.DeleteFunc(problems, func(p profile.Problem) bool {
		again := seen[p]
		seen[p] = true
		return again
	})
}

// build is the stream of the directory, in the order of kustomize.
func (k *kustomized) build(src *Source, answers map[*profile.Request]Answer) ([]manifest, error) {
	g := generation{kustomized: k, assemblies: map[int]*assembly{}, standing: map[int][]object{}}
	if err := g.generate(src, answers); err != nil {
		return nil, err
	}
	built, err := k.run(func(l *layer) types.Kustomization { return l.spec }, g.standing)
	if err != nil {
		return nil, err
	}
	var stream []manifest
	var problems profile.Problems
	for _, r := range built.Resources() {
		m, err := g.manifest(r)
		if err != nil {
			problems = append(problems, problemsOf(k.layers[0].source(), err)...)
			continue
		}
		if m.node != nil {
			stream = append(stream, m)
		}
	}
	problems = append(problems, g.check()...)
	problems = append(problems, k.missed(stream)...)
	if len(problems) > 0 {
		return nil, problems
	}
	return stream, nil
}

// unchanged holds that the second build leaves a DGDR as the first did.
func (k *kustomized) unchanged(number int, r *resource.Resource) error {
	data, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	v := k.final[number]
	if bytes.Equal(data, v.json) || followsClaim(v, data) {
		return nil
	}
	written := k.written[number]
	return profile.Problems{{File: written.File, Line: written.Line, Message: fmt.Sprintf(
		"the kustomization changes DGDR %q by what is generated from it; change it by values that do not depend on that", written.Name)}}
}
