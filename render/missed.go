package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// missed finds patches for deployments of another version than is rendered:
// kustomize passes over them in silence.
func (k *kustomized) missed(stream []manifest) profile.Problems {
	var deployments []manifest
	for _, m := range stream {
		if m.kind == deploymentKind && strings.HasPrefix(m.apiVersion, "nvidia.com/") {
			deployments = append(deployments, m)
		}
	}
	var names []string
	for _, d := range deployments {
		names = append(names, componentNames(d.node)...)
	}
	var problems profile.Problems
	for _, l := range k.layers {
		for i, p := range append(slices.Clone(l.spec.Patches), l.spec.PatchesJson6902...) {
			if p.Target == nil || p.Target.Kind == "" || p.Target.Version == "" || len(k.final) == 0 {
				continue
			}
			other := otherVersion(p.Target, deployments)
			if other == "" {
				continue
			}
			problems = append(problems, profile.Problem{File: l.source(), Path: fmt.Sprintf("patches[%d]", i), Message: fmt.Sprintf(
				"is for %s %s%s, and %s is rendered, with the components %s; to render the other version, set --dgd-version",
				p.Target.Kind, p.Target.Version, k.wanted(l, p), other, strings.Join(names, ", "))})
		}
	}
	return once(problems)
}

// otherVersion is the version of the deployments that a target would match but
// for their version; empty where it matches some, or none either way.
func otherVersion(target *types.Selector, deployments []manifest) string {
	anyVersion := *target
	anyVersion.Version = ""
	exact, err1 := types.NewSelectorRegex(target)
	loose, err2 := types.NewSelectorRegex(&anyVersion)
	if err1 != nil || err2 != nil {
		return ""
	}
	other := ""
	for _, d := range deployments {
		gvk := resid.Gvk{Kind: d.kind}
		gvk.Group, gvk.Version = resid.ParseGroupVersion(d.apiVersion)
		if exact.MatchGvk(gvk) {
			return ""
		}
		if loose.MatchGvk(gvk) {
			other = gvk.Version
		}
	}
	return other
}

// wanted says which components a patch names.
func (k *kustomized) wanted(l *layer, p types.Patch) string {
	content := []byte(p.Patch)
	if p.Path != "" {
		content = k.files[path.Join(l.at, p.Path)]
	}
	docs, err := profile.Documents(l.source(), content)
	if err != nil {
		return ""
	}
	var names []string
	for _, d := range docs {
		names = append(names, componentNames(d.Root)...)
	}
	if len(names) == 0 {
		return ""
	}
	return " with the components " + strings.Join(names, ", ")
}

// componentNames are the components of a deployment of either version.
func componentNames(root *yaml.Node) []string {
	var names []string
	spec := child(root, "spec")
	if components := child(spec, "components"); components != nil {
		for _, c := range components.Content {
			if name := child(c, "name"); name != nil {
				names = append(names, name.Value)
			}
		}
	}
	if services := child(spec, "services"); services != nil && services.Kind == yaml.MappingNode {
		for i := 0; i < len(services.Content); i += 2 {
			names = append(names, services.Content[i].Value)
		}
	}
	return names
}
