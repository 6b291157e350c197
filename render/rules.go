package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// rulesOf returns where a deployment, as v1beta1, breaks the rules that its CRD
// holds in CEL and that a schema cannot say (api/v1beta1/dynamographdeployment_types.go,
// dynamocomponentdeployment_types.go). The rules about a change of a live one are
// the API server's alone.
func rulesOf(dgd object) []fault {
	var faults []fault
	pickers := 0
	names := map[string]string{}
	for i, c := range componentsOf(dgd) {
		at := fmt.Sprintf("spec.components[%d]", i)
		fault := func(field, format string, args ...any) {
			faults = append(faults, fault{at + field, fmt.Sprintf(format, args...)})
		}
		name, _ := c["name"].(string)
		if other, taken := names[strings.ToLower(name)]; taken && other != name {
			fault(".name", "%q differs from %q in case alone, and names are compared without it", name, other)
		}
		names[strings.ToLower(name)] = name
		if c["type"] == "epp" {
			if pickers++; pickers == 2 {
				fault(".type", "a second component is of type epp; there may be one")
			}
		}
		if config, given := c["eppConfig"].(object); given {
			if c["type"] != "epp" {
				fault(".eppConfig", "is for a component of type epp alone")
			} else if (config["configMapRef"] == nil) == (config["config"] == nil) {
				fault(".eppConfig", "must have one of configMapRef and config")
			}
		}
		least, given := c["minAvailable"].(int64)
		if replicas := count(c["replicas"]); given && replicas != 0 && int(least) > replicas {
			fault(".minAvailable", "is %d of %d replicas", least, replicas)
		}
	}
	return faults
}

// metadataFaults returns what the API server refuses in the metadata of any object.
func metadataFaults(obj object) []fault {
	var faults []fault
	note := func(path string, messages []string) {
		for _, m := range messages {
			faults = append(faults, fault{path, m})
		}
	}
	meta, _ := obj["metadata"].(object)
	name, _ := meta["name"].(string)
	note("metadata.name", prefixed(fmt.Sprintf("%q: ", name), validation.IsDNS1123Subdomain(name)))
	labels, _ := meta["labels"].(object)
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		note("metadata.labels", prefixed(fmt.Sprintf("%q: ", key), validation.IsQualifiedName(key)))
		if value, ok := labels[key].(string); ok {
			note("metadata.labels."+key, prefixed(fmt.Sprintf("%q: ", value), validation.IsValidLabelValue(value)))
		} else {
			note("metadata.labels."+key, []string{"must be a string, is " + show(labels[key]) + "; quote it"})
		}
	}
	annotations, _ := meta["annotations"].(object)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		note("metadata.annotations", prefixed(fmt.Sprintf("%q: ", key), validation.IsQualifiedName(strings.ToLower(key))))
		if _, ok := annotations[key].(string); !ok {
			note("metadata.annotations."+key, []string{"must be a string, is " + show(annotations[key]) + "; quote it"})
		}
	}
	return faults
}

func prefixed(prefix string, messages []string) []string {
	for i := range messages {
		messages[i] = prefix + messages[i]
	}
	return messages
}
