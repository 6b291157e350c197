package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const (
	alphaVersion = "nvidia.com/v1alpha1"
	betaVersion  = "nvidia.com/v1beta1"
	overridden   = "spec.overrides.dgd"
)

// override is spec.overrides.dgd on its way into a generated deployment. The
// rules are those of Dynamo's operator (internal/dgdoverride), which merges by
// the schema of the override's version, with these differences: what Dynamo
// drops with a warning because nothing bears its name is an error; so is what
// the merge would turn into an object that no cluster runs; generated list
// entries with a key of their own always stay.
type override struct {
	req      *profile.Request
	api      *openAPI
	base     object // the generated deployment
	partial  object // the override, v1beta1 once it is translated
	version  string
	problems profile.Problems
	warnings profile.Problems
	removed  []string // components that the override takes out of scaling
}

// applyOverride merges spec.overrides.dgd into a generated v1beta1 deployment,
// which it leaves as it is. The error is profile.Problems.
func applyOverride(dgd map[string]any, req *profile.Request) (merged map[string]any, warnings []profile.Problem, err error) {
	if len(req.Spec.Overrides.DGD) == 0 {
		return dgd, nil, nil
	}
	api, err := loadOpenAPI()
	if err != nil {
		return nil, nil, err
	}
	o := &override{
		req: req, api: api,
		base:    copyTree(dgd).(object),
		partial: copyTree(req.Spec.Overrides.DGD).(object),
	}
	// Parse admits the two versions, and fills v1alpha1 in where none is given.
	o.version = alphaVersion
	if o.partial["apiVersion"] == betaVersion {
		o.version = betaVersion
	}
	o.metadata()
	if o.version == alphaVersion {
		o.checkPartial()
		o.translate()
		o.checkTranslated()
	} else {
		patches := o.takePatches()
		o.checkPartial()
		o.components(patches)
	}
	if err := o.refused(); err != nil {
		return nil, o.warnings, err
	}
	merged, err = o.merge()
	if err != nil {
		return nil, o.warnings, err
	}
	o.checkMerged(merged)
	if err := o.refused(); err != nil {
		return nil, o.warnings, err
	}
	return merged, o.warnings, nil
}

// problem and warn take a path below spec.overrides.dgd.
func (o *override) problem(path, format string, args ...any) {
	o.problems = append(o.problems, o.req.Problem(overridden+"."+path, fmt.Sprintf(format, args...)))
}

func (o *override) warn(path, format string, args ...any) {
	o.warnings = append(o.warnings, o.req.Problem(overridden+"."+path, fmt.Sprintf(format, args...)))
}

// refused is the error of all problems, nil when there are none.
func (o *override) refused() error {
	if len(o.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(o.problems, func(a, b profile.Problem) int { return a.Line - b.Line })
	return o.problems
}

// metadata leaves the labels and annotations that an override may set. The name
// is honoured by profile.Request.DGDName.
func (o *override) metadata() {
	meta, ok := o.partial["metadata"].(object)
	if !ok {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		switch key {
		case "labels", "annotations":
			continue
		case "name":
		default:
			o.warn("metadata."+key, "is ignored: an override sets labels, annotations and the name")
		}
		delete(meta, key)
	}
	annotations, _ := meta["annotations"].(object)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(key, "nvidia.com/dgd-") {
			o.warn("metadata.annotations."+key, "is ignored: the operator keeps its own state there")
			delete(annotations, key)
		}
	}
}

// checkPartial holds the override against the schema of its version.
func (o *override) checkPartial() {
	for _, f := range o.api.check(o.version, "", o.partial, true) {
		message := f.message
		switch {
		case f.path == "spec.components" && o.version == alphaVersion:
			message = "unknown field in v1alpha1; to override v1beta1 components, set apiVersion: " + betaVersion
		case f.path == "spec.services" && o.version == betaVersion:
			message = "unknown field in v1beta1; to override v1alpha1 services, set apiVersion: " + alphaVersion
		}
		o.problem(f.path, "%s", message)
	}
}

// checkTranslated finds what v1alpha1 admits and v1beta1 does not, such as an
// environment variable given twice.
func (o *override) checkTranslated() {
	if len(o.problems) > 0 {
		return
	}
	for _, f := range o.api.check(betaVersion, "", o.partial, true) {
		o.problem("spec", "in v1beta1, %s: %s", f.path, f.message)
	}
}

// component returns the generated component of that name. An unknown name is a
// problem: Dynamo would lose the override in silence.
func (o *override) component(path, name string) object {
	var names []string
	for _, c := range componentsOf(o.base) {
		have, _ := c["name"].(string)
		if have == name {
			return c
		}
		names = append(names, have)
	}
	hint := profile.DidYouMean(name, names)
	o.problem(path, "no component is called %q%s; generated are %s", name, hint, strings.Join(names, ", "))
	return nil
}

// components settles the names and the scaling adapters of a v1beta1 override,
// and appends what its patches ask to append.
func (o *override) components(patches []patch) {
	spec, _ := o.partial["spec"].(object)
	items, _ := spec["components"].([]any)
	for i, item := range items {
		c, _ := item.(object)
		path := fmt.Sprintf("spec.components[%d]", i)
		name, _ := c["name"].(string)
		if name == "" {
			continue // the schema check has said so
		}
		base := o.component(path+".name", name)
		if base == nil {
			continue
		}
		for _, p := range patches {
			if p.component == i {
				o.appendArgs(p, base)
			}
		}
	}
}

// merge puts the override over the deployment with the engine of server-side
// apply: maps merge, keyed lists merge by key, sets unite, the rest replaces.
func (o *override) merge() (object, error) {
	delete(o.partial, "kind")
	delete(o.partial, "apiVersion")
	kind := o.api.parser().Type(definitionName(betaVersion))
	base, err := kind.FromUnstructured(o.base)
	if err != nil {
		return nil, fmt.Errorf("%s: reading the generated deployment: %w", overridden, err)
	}
	partial, err := kind.FromUnstructured(o.partial)
	if err != nil {
		return nil, fmt.Errorf("%s: reading: %w", overridden, err)
	}
	merged, err := mergeTyped(base, partial)
	if err != nil {
		return nil, fmt.Errorf("%s: merging: %w", overridden, err)
	}
	o.settle(merged)
	return merged, nil
}

// settle does what a merge cannot: it takes scaling adapters away, writes
// quantities as Kubernetes does, and brings the components back into their order,
// which a merge takes from the override.
func (o *override) settle(merged object) {
	components := componentsOf(merged)
	for _, c := range components {
		if name, _ := c["name"].(string); slices.Contains(o.removed, name) {
			delete(c, "scalingAdapter")
		}
		for _, container := range containersOf(c) {
			resources, _ := container["resources"].(object)
			for _, kind := range []string{"limits", "requests"} {
				quantities, _ := resources[kind].(object)
				for name, v := range quantities {
					quantities[name] = fmt.Sprint(v)
				}
			}
		}
	}
	place := map[any]int{}
	for i, c := range componentsOf(o.base) {
		place[c["name"]] = i
	}
	slices.SortStableFunc(components, func(a, b object) int { return place[a["name"]] - place[b["name"]] })
	merged["spec"].(object)["components"] = list(components)
}

func mergeTyped(base, partial *typed.TypedValue) (object, error) {
	merged, err := base.Merge(partial)
	if err != nil {
		return nil, err
	}
	obj, ok := merged.AsValue().Unstructured().(object)
	if !ok {
		return nil, fmt.Errorf("the result is no object")
	}
	return copyTree(obj).(object), nil
}

// copyTree copies a JSON tree; whole numbers become integers.
func copyTree(v any) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for key, item := range v {
			out[key] = copyTree(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = copyTree(item)
		}
		return out
	case float64:
		if f, whole := wholeNumber(v); whole {
			return int64(f)
		}
	}
	return v
}

// containersOf returns the containers of a component's pods.
func containersOf(c object) []object {
	var out []object
	for _, list := range []string{"containers", "initContainers"} {
		items, _ := podOf(c)[list].([]any)
		for _, item := range items {
			if container, ok := item.(object); ok {
				out = append(out, container)
			}
		}
	}
	return out
}
