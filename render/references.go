package render

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fieldSpec is where a field of a kind is, as kustomize's transformer
// configurations say it: lists on the way are not marked.
type fieldSpec struct {
	Path  string `json:"path"`
	Group string `json:"group"`
	Kind  string `json:"kind"`
}

type nameReference struct {
	Group      string      `json:"group,omitempty"`
	Version    string      `json:"version,omitempty"`
	Kind       string      `json:"kind"`
	FieldSpecs []fieldSpec `json:"fieldSpecs"`
}

// transformerConfig tells kustomize which fields of Dynamo's kinds hold the names
// of other objects, so that they follow prefixes, suffixes and hashes, and which
// hold images.
type transformerConfig struct {
	NameReference []nameReference `json:"nameReference"`
	Images        []fieldSpec     `json:"images"`
}

// podFields are where a pod names other objects, by their kind.
func podFields() map[string][]string {
	return map[string][]string{
		"ConfigMap":             {"volumes/configMap/name", "volumes/projected/sources/configMap/name"},
		"Secret":                {"volumes/secret/secretName", "volumes/projected/sources/secret/name", "volumes/csi/nodePublishSecretRef/name", "imagePullSecrets/name"},
		"PersistentVolumeClaim": {"volumes/persistentVolumeClaim/claimName"},
		"ServiceAccount":        {"serviceAccountName"},
		"PriorityClass":         {"priorityClassName"},
	}
}

// containerFields are where a container names other objects, by their kind.
func containerFields() map[string][]string {
	return map[string][]string{
		"ConfigMap": {"env/valueFrom/configMapKeyRef/name", "envFrom/configMapRef/name"},
		"Secret":    {"env/valueFrom/secretKeyRef/name", "envFrom/secretRef/name"},
	}
}

// references are the configuration for the deployments of a build. The services
// of v1alpha1 are keys of a mapping, which a path has to spell.
func (c *closure) references(standing map[int][]object) transformerConfig {
	specs := map[string][]fieldSpec{}
	add := func(kind string, paths ...string) {
		for _, p := range paths {
			specs[kind] = append(specs[kind], fieldSpec{Path: p, Group: "nvidia.com", Kind: deploymentKind})
		}
	}
	all := func(at string, fields map[string][]string) {
		for _, kind := range slices.Sorted(maps.Keys(fields)) {
			for _, field := range fields[kind] {
				add(kind, at+field)
			}
		}
	}
	pod := func(at string) {
		all(at, podFields())
		all(at+"containers/", containerFields())
		all(at+"initContainers/", containerFields())
	}
	pod("spec/components/podTemplate/spec/")
	add("ConfigMap", "spec/env/valueFrom/configMapKeyRef/name", "spec/envs/valueFrom/configMapKeyRef/name")
	add("Secret", "spec/env/valueFrom/secretKeyRef/name", "spec/envs/valueFrom/secretKeyRef/name")
	add("PersistentVolumeClaim", "spec/components/compilationCache/pvcName", "spec/pvcs/name")
	add("PriorityClass", "spec/priorityClassName")
	config := transformerConfig{}
	for _, name := range c.services(standing) {
		at := "spec/services/" + strings.ReplaceAll(name, "/", `\/`) + "/"
		pod(at + "extraPodSpec/")
		all(at+"extraPodSpec/mainContainer/", containerFields())
		add("ConfigMap", at+"envs/valueFrom/configMapKeyRef/name")
		add("Secret", at+"envs/valueFrom/secretKeyRef/name", at+"envFromSecret")
		add("PersistentVolumeClaim", at+"volumeMounts/name")
		config.Images = append(config.Images, fieldSpec{Path: at + "extraPodSpec/mainContainer/image", Group: "nvidia.com", Kind: deploymentKind})
	}
	specs["PersistentVolumeClaim"] = append(specs["PersistentVolumeClaim"],
		fieldSpec{Path: "spec/modelCache/pvcName", Group: "nvidia.com", Kind: requestKind})
	for _, kind := range slices.Sorted(maps.Keys(specs)) {
		ref := nameReference{Kind: kind, Version: "v1", FieldSpecs: specs[kind]}
		if kind == "PriorityClass" {
			ref.Group = "scheduling.k8s.io"
		}
		config.NameReference = append(config.NameReference, ref)
	}
	config.NameReference = append(config.NameReference, nameReference{
		Group: "nvidia.com", Kind: deploymentKind,
		FieldSpecs: append(workloadFields(), fieldSpec{Path: "spec/dgdRef/name", Group: "nvidia.com", Kind: "DynamoGraphDeploymentScalingAdapter"}),
	})
	return config
}

// services are the names of all v1alpha1 services, of generated deployments and
// of those that the repository holds.
func (c *closure) services(standing map[int][]object) []string {
	names := map[string]bool{}
	for _, objs := range standing {
		for _, obj := range objs {
			spec, _ := obj["spec"].(object)
			services, _ := spec["services"].(object)
			for name := range services {
				names[name] = true
			}
		}
	}
	for _, d := range c.docs {
		services := child(child(d.Root, "spec"), "services")
		if d.Kind != deploymentKind || services == nil || services.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i < len(services.Content); i += 2 {
			names[services.Content[i].Value] = true
		}
	}
	delete(names, "")
	return slices.Sorted(maps.Keys(names))
}
