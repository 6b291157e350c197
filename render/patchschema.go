package render

import (
	"encoding/json"
	"maps"
	"slices"
)

// patchSchema is the schema that kustomize merges strategic merge patches by:
// that of DynamoGraphDeployments in both versions with the patch strategies that
// follow from the list types, and of DGDRs as far as they embed other objects.
func patchSchema() ([]byte, error) {
	api, err := loadOpenAPI()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(api.Definitions)) {
		api.mergeLists("", api.Definitions[name])
	}
	for _, version := range []string{"v1beta1", "v1alpha1"} {
		api.Definitions["com.nvidia."+version+".DynamoGraphDeploymentRequest"] = api.requestSchema(version)
	}
	return json.Marshal(api)
}

// mergeLists gives the lists below a node the strategy "merge" with their keys.
// A list without a type merges by name where a name is what its items need.
// Tolerations, which the API server replaces as a whole, unite: a patch that adds
// one does not take those away that were there.
func (a *openAPI) mergeLists(field string, n *schemaNode) {
	if n.Type == "array" {
		item := a.resolve(n.Items)
		switch {
		case n.ListType == "map":
			n.mergeBy(n.ListMapKeys...)
		case n.ListType == "set":
			n.mergeBy()
		case field == "tolerations":
			n.mergeBy("key", "operator", "value", "effect")
		case n.ListType == "" && item.Type == "object" && slices.Equal(item.Required, []string{"name"}):
			n.mergeBy("name")
		}
		a.mergeLists("", n.Items)
	}
	if n.AdditionalProperties != nil {
		a.mergeLists("", n.AdditionalProperties)
	}
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		a.mergeLists(name, n.Properties[name])
	}
}

// mergeBy writes the extensions as kustomize reads them: one key on its own,
// several as the keys of the list.
func (n *schemaNode) mergeBy(keys ...string) {
	n.PatchStrategy = "merge"
	n.ListMapKeys = nil
	switch len(keys) {
	case 0:
	case 1:
		n.PatchMergeKey = keys[0]
	default:
		n.ListMapKeys = keys
	}
}

// requestSchema describes the objects that a DGDR embeds: overrides.dgd, whose
// two versions share no list of one name that they merge differently, and the
// profiling job.
func (a *openAPI) requestSchema(version string) *schemaNode {
	spec := &schemaNode{Type: "object", Properties: map[string]*schemaNode{}}
	for _, apiVersion := range []string{alphaVersion, betaVersion} {
		deployment := a.Definitions[definitionName(apiVersion)]
		maps.Copy(spec.Properties, a.resolve(deployment.Properties["spec"]).Properties)
	}
	object := func(properties map[string]*schemaNode) *schemaNode {
		return &schemaNode{Type: "object", Properties: properties}
	}
	return &schemaNode{
		Type: "object",
		Properties: map[string]*schemaNode{
			"spec": object(map[string]*schemaNode{
				"overrides": object(map[string]*schemaNode{
					"dgd":          object(map[string]*schemaNode{"spec": spec}),
					"profilingJob": {Ref: refPrefix + "io.k8s.api.batch.v1.JobSpec"},
				}),
			}),
		},
		GVK: []map[string]any{{"group": "nvidia.com", "kind": "DynamoGraphDeploymentRequest", "version": version}},
	}
}
