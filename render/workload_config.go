package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// settle reads the DynamoCMPConfig among the documents of a directory and completes
// by it what holds for the DGDRs beside it. A directory has one at most.
func (s *Source) settle(docs []profile.Document, defaults *profile.Defaults) profile.Problems {
	if hw := defaults.Hardware; hw != nil {
		s.hardware, s.capabilities = hw.File, hw.Capabilities
	}
	var problems profile.Problems
	var first *profile.Document
	for _, d := range docs {
		if !d.IsConfig() {
			continue
		}
		if first != nil {
			problems = append(problems, profile.Problem{File: d.File, Line: d.Line, Message: fmt.Sprintf(
				"%s is a second one; the directory has that at %s:%d", d.Kind, first.File, first.Line)})
			continue
		}
		first = &d
		config, err := profile.ParseConfig(d, DynamoVersions())
		if err != nil {
			problems = append(problems, problemsOf(d.File, err)...)
			continue
		}
		s.config = config
		defaults.Config = config
		if config.DynamoVersion != "" {
			defaults.Image = releaseNamed(config.DynamoVersion).image
		}
	}
	return problems
}

// unused says which settings of the config nothing in the directory has a use for.
func (s *Source) unused() profile.Problems {
	c := s.config
	if c == nil || c.ModelCache == nil && c.Download == nil || len(s.Requests) == 0 {
		return nil
	}
	if slices.ContainsFunc(s.Requests, func(r *profile.Request) bool { return r.Spec.ModelCache != nil }) {
		return nil
	}
	return profile.Problems{c.Problem("spec.modelCache", "no DGDR of the directory has spec.modelCache, which names the claim")}
}

// isConfig knows a DynamoCMPConfig of a build.
func isConfig(r *resource.Resource) bool {
	return profile.Document{APIVersion: r.GetApiVersion(), Kind: r.GetKind()}.IsConfig()
}

// configOf finds the configs of a build, with the positions of the files that they
// are written in as far as their values are those.
func (k *kustomized) configOf(built []*resource.Resource) ([]profile.Document, error) {
	var out []profile.Document
	for _, r := range built {
		if !isConfig(r) {
			continue
		}
		data, err := r.MarshalJSON()
		if err != nil {
			return nil, err
		}
		k.config = data
		docs, err := profile.Documents(k.layers[0].source(), data)
		if err != nil {
			return nil, err
		}
		doc := docs[0]
		doc.Line = 0
		written := func(d profile.Document) bool { return d.IsConfig() && strings.Contains(doc.Name, d.Name) }
		if i := slices.IndexFunc(k.docs, written); i >= 0 {
			doc.File, doc.Line = k.docs[i].File, k.docs[i].Line
			relocate(doc.Root, k.docs[i].Root)
		}
		out = append(out, doc)
	}
	return out, nil
}

// sameConfig holds that the second build leaves the config as the first did.
func (k *kustomized) sameConfig(r *resource.Resource) error {
	data, err := r.MarshalJSON()
	if err != nil || bytes.Equal(data, k.config) {
		return err
	}
	return fmt.Errorf("%s %q is changed by what is generated from it; change it by values that do not depend on that", r.GetKind(), r.GetName())
}

// followsClaim reports whether a DGDR differs from its first build by nothing but
// the name of the claim that is generated for it: a prefix has come to both.
func followsClaim(first variant, second []byte) bool {
	if first.request.Config == nil || first.request.Config.ModelCache == nil {
		return false
	}
	var a, b struct {
		Spec map[string]any `json:"spec"`
	}
	if json.Unmarshal(first.json, &a) != nil || json.Unmarshal(second, &b) != nil {
		return false
	}
	from, _ := a.Spec["modelCache"].(map[string]any)
	to, _ := b.Spec["modelCache"].(map[string]any)
	if from == nil || to == nil {
		return false
	}
	to["pvcName"] = from["pvcName"]
	return reflect.DeepEqual(a.Spec, b.Spec)
}

// placeOf is the directory of the build in which a DGDR stands.
func (c *closure) placeOf(number int) string {
	for place, h := range c.holders {
		requests := 0
		for _, d := range h.docs {
			if d.IsRequest() {
				requests++
			}
		}
		if number >= h.first && number < h.first+requests {
			return path.Dir(place)
		}
	}
	return ""
}

// workloadFields are where the manifests around a deployment name it.
func workloadFields() []fieldSpec {
	label := "spec/selector/matchLabels/" + strings.ReplaceAll(deploymentLabel, "/", `\/`)
	return []fieldSpec{
		{Path: label, Group: "monitoring.coreos.com", Kind: "PodMonitor"},
		{Path: label, Group: "policy", Kind: "PodDisruptionBudget"},
		{Path: "spec/template/metadata/annotations/" + strings.ReplaceAll(deploymentNote, "/", `\/`), Group: "batch", Kind: "Job"},
	}
}
