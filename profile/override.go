package profile

import (
	"fmt"
	"slices"
	"strings"
)

// checkDGDOverride holds the rules of Dynamo's override merge that need no
// schema (operator, internal/dgdoverride): a kind it knows, no status, no null.
func (d *decoder) checkDGDOverride(o map[string]any) {
	const at = "spec.overrides.dgd"
	if len(o) == 0 {
		return
	}
	d.checkOverrideKind(at, o)
	if _, given := o["status"]; given {
		d.problem(at+".status", "must not be set by an override")
	}
	d.refuseNulls(at, o)
	meta, given := o["metadata"]
	if !given || meta == nil {
		return
	}
	m, ok := meta.(map[string]any)
	if !ok {
		d.problem(at+".metadata", "must be an object")
		return
	}
	name, given := m["name"]
	if !given || name == nil {
		return
	}
	if text, ok := name.(string); !ok || !subdomain.MatchString(text) || len(text) > maxLabel {
		d.problem(at+".metadata.name", "must be at most 63 lower case letters, digits, '-' and '.'")
	}
}

// checkOverrideKind completes an override without apiVersion and kind as
// Dynamo's profiler does: v1alpha1.
func (d *decoder) checkOverrideKind(at string, o map[string]any) {
	version, hasVersion := o["apiVersion"]
	kind, hasKind := o["kind"]
	switch {
	case !hasVersion && !hasKind:
		d.warn(at, "has no apiVersion and kind, which the API server would refuse; read as nvidia.com/v1alpha1 DynamoGraphDeployment")
		o["apiVersion"], o["kind"] = "nvidia.com/v1alpha1", "DynamoGraphDeployment"
		return
	case !hasVersion:
		d.problem(at+".apiVersion", "is required beside kind; set nvidia.com/v1beta1 or nvidia.com/v1alpha1")
		return
	case !hasKind:
		d.problem(at+".kind", "is required beside apiVersion; set DynamoGraphDeployment")
		return
	}
	if v, _ := version.(string); version != nil && !slices.Contains([]string{"nvidia.com/v1beta1", "nvidia.com/v1alpha1"}, v) {
		d.problem(at+".apiVersion", "must be nvidia.com/v1beta1 or nvidia.com/v1alpha1, is %s", quote(fmt.Sprint(version)))
	}
	if kind != nil && kind != "DynamoGraphDeployment" {
		d.problem(at+".kind", "must be DynamoGraphDeployment, is %s", quote(fmt.Sprint(kind)))
	}
}

// refuseNulls reports each null: an override cannot delete. Only the plugin
// configuration of an endpoint picker may hold them.
func (d *decoder) refuseNulls(at string, v any) {
	switch v := v.(type) {
	case nil:
		if !strings.Contains(at, ".eppConfig.config.") {
			d.problem(at, "is null: an override cannot remove what is generated; leave the field out")
		}
	case map[string]any:
		for _, key := range sortedKeys(v) {
			d.refuseNulls(at+"."+key, v[key])
		}
	case []any:
		for i, item := range v {
			d.refuseNulls(fmt.Sprintf("%s[%d]", at, i), item)
		}
	}
}
