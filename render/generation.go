package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// generation is what is generated for the DGDRs of a kustomized directory: as it
// stands beside them, and as the build leaves it.
type generation struct {
	*kustomized
	assemblies map[int]*assembly
	standing   map[int][]object
	built      map[int][]object
}

// generate makes the objects under the names that the files have: kustomize adds
// prefixes, suffixes and namespaces to them as to any object.
func (g *generation) generate(src *Source, answers map[*profile.Request]Answer) error {
	var problems profile.Problems
	shared := commons{}
	for _, number := range slices.Sorted(maps.Keys(g.final)) {
		req, written := g.final[number].request, g.written[number]
		named := *req
		named.Name = g.standingName(req.Name, written.Name)
		ans := answers[req]
		a, objs, err := generate(req, ans, named.DGDName(), written.Namespace)
		if err == nil {
			last := len(objs) - 1
			objs[last], err = a.inVersion(objs[last], src.DGDVersion)
		}
		src.Warnings = append(src.Warnings, a.warnings...)
		for _, w := range ans.Result.Warnings {
			src.Warnings = append(src.Warnings, req.Problem("", w))
		}
		if err != nil {
			problems = append(problems, document{Document: written}.problems(err)...)
			continue
		}
		g.assemblies[number], g.standing[number] = a, shared.first(g.placeOf(number), objs)
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// standingName is the name of a DGDR before prefixes and suffixes: the written one,
// or another that a patch has given it.
func (g *generation) standingName(final, written string) string {
	if strings.Contains(final, written) {
		return written
	}
	for _, l := range g.layers {
		final = strings.TrimSuffix(strings.TrimPrefix(final, l.spec.NamePrefix), l.spec.NameSuffix)
	}
	return final
}

// manifest is a resource of the build; a DGDR gives none.
func (g *generation) manifest(r *resource.Resource) (manifest, error) {
	number, standing, ok, err := markOf(r)
	switch {
	case err != nil:
		return manifest{}, err
	case ok && !standing:
		return manifest{}, g.unchanged(number, r)
	case isConfig(r):
		return manifest{}, g.sameConfig(r)
	case r.GetKind() == requestKind && r.GetGvk().Group == "nvidia.com":
		return manifest{}, fmt.Errorf("DGDR %q comes from no file of its own; list the file that it is written in under resources", r.GetName())
	case ok:
		obj, err := objectOf(r)
		if err != nil {
			return manifest{}, err
		}
		if g.built == nil {
			g.built = map[int][]object{}
		}
		g.built[number] = append(g.built[number], obj)
		return generated(obj, document{Document: g.written[number]}), nil
	}
	doc := profile.Document{
		File: g.layers[0].source(), APIVersion: r.GetApiVersion(), Kind: r.GetKind(),
		Namespace: r.GetNamespace(), Name: r.GetName(), Root: r.YNode(),
	}
	m := passed(document{Document: doc})
	if m.problem != nil {
		return manifest{}, fmt.Errorf("%s %q: %s", doc.Kind, doc.Name, m.problem.Message)
	}
	return m, nil
}

// objectOf is a resource as a JSON tree.
func objectOf(r *resource.Resource) (object, error) {
	data, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var obj object
	if err := json.Unmarshal(data, &obj); err != nil {
		return nil, err
	}
	return copyTree(obj).(object), nil
}

// check holds the generated objects to what a cluster asks of them, as patches
// have left them. What a patch removed whole is not there to be checked.
func (g *generation) check() profile.Problems {
	var problems profile.Problems
	for _, number := range slices.Sorted(maps.Keys(g.built)) {
		objs := g.built[number]
		a := g.assemblies[number]
		a.patched = true
		i := slices.IndexFunc(objs, func(o object) bool { return o["kind"] == deploymentKind })
		if i < 0 {
			continue
		}
		dgd := objs[i]
		if v := dgd["apiVersion"]; v != betaVersion && v != alphaVersion {
			problems = append(problems, a.req.Problem("", fmt.Sprintf(
				"the kustomization makes the deployment a %v; it is rendered as %s, or as %s by --dgd-version v1alpha1", v, betaVersion, alphaVersion)))
			continue
		}
		view := betaView(dgd, a.req)
		objs = append(slices.Delete(slices.Clone(objs), i, i+1), view)
		if p := a.strangers(view); len(p) > 0 {
			problems = append(problems, p...)
			continue
		}
		problems = append(problems, a.fits(dgd, view)...)
		problems = append(problems, problemsOf(a.req.File, a.check(objs))...)
	}
	return problems
}

// strangers finds the components that a patch added without meaning to: it spells
// the name of a component that is not there.
func (a *assembly) strangers(dgd object) profile.Problems {
	var have []string
	for _, c := range a.components {
		have = append(have, fmt.Sprint(c["name"]))
	}
	var problems profile.Problems
	for _, c := range componentsOf(dgd) {
		name := fmt.Sprint(c["name"])
		if _, typed := c["type"]; typed || slices.Contains(have, name) {
			continue
		}
		problems = append(problems, a.req.Problem("", fmt.Sprintf(
			"a patch of the kustomization is for component %q%s; the deployment has %s", name, profile.DidYouMean(name, have), strings.Join(have, ", "))))
	}
	return problems
}

// fits holds a patched deployment to its schema and to the room for its name.
func (a *assembly) fits(dgd, view object) profile.Problems {
	api, err := loadOpenAPI()
	if err != nil {
		return problemsOf(a.req.File, err)
	}
	var problems profile.Problems
	version, _ := dgd["apiVersion"].(string)
	for _, f := range slices.Concat(api.check(version, "", dgd, false), rulesOf(view)) {
		problems = append(problems, a.req.Problem("", fmt.Sprintf("the kustomization leaves the deployment with %s: %s", f.path, f.message)))
	}
	meta, _ := dgd["metadata"].(object)
	name := fmt.Sprint(meta["name"])
	if len(componentsOf(view)) == 0 {
		problems = append(problems, a.req.Problem("", "the kustomization leaves the deployment without components; to do without it, delete it"))
	}
	for _, c := range componentsOf(view) {
		if component := fmt.Sprint(c["name"]); name != a.name && len(name)+len(component) > maxGroveName {
			problems = append(problems, a.req.Problem("metadata.name", fmt.Sprintf(
				"the kustomization calls the deployment %s, which has %d characters together with component %s, and %d are allowed; shorten its prefix or suffix, or the name",
				name, len(name)+len(component), component, maxGroveName)))
			break
		}
	}
	return problems
}
