package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// podMonitor has Prometheus read the metrics of a deployment's pods, by the ports and
// with the labels of the operator's own monitors, which Dynamo's dashboards and its
// planner ask for (deploy/helm, templates/prometheus.yaml). A pod without a port of
// that name is passed over.
func (a *assembly) podMonitor() object {
	endpoint := func(port string, label string) object {
		e := object{"port": port, "path": "/metrics", "interval": "5s"}
		if label != "" {
			e["relabelings"] = []any{object{
				"action":       "replace",
				"sourceLabels": []any{"__meta_kubernetes_pod_label_nvidia_com_" + label},
				"targetLabel":  label,
			}}
		}
		return e
	}
	frontend := endpoint("http", "dynamo_namespace")
	frontend["honorLabels"] = true // the runtime's own labels win
	return object{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor",
		"metadata": a.metadata(a.name, nil),
		"spec": object{
			"selector":            object{"matchLabels": object{deploymentLabel: a.name, "nvidia.com/metrics-enabled": "true"}},
			"podMetricsEndpoints": []any{frontend, endpoint("system", "dynamo_component_type"), endpoint("metrics", "")},
		},
	}
}

// disruptionBudgets bound what a drain takes of each component at once. The planner
// serves nothing and has none.
func (a *assembly) disruptionBudgets(dgd object) []object {
	var most any = a.req.Config.MaxUnavailable
	if n, err := strconv.ParseInt(a.req.Config.MaxUnavailable, 10, 32); err == nil {
		most = n
	}
	var objs []object
	for _, c := range componentsOf(dgd) {
		if c["type"] == "planner" {
			continue
		}
		name := fmt.Sprint(c["name"])
		objs = append(objs, object{
			"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
			"metadata": a.metadata(objectName(a.name, name), nil),
			"spec": object{
				"maxUnavailable": most,
				"selector":       object{"matchLabels": object{deploymentLabel: a.name, componentLabel: name}},
			},
		})
	}
	return objs
}

// adapter is a LoRA adapter that the operator has the engines load. It waits for the
// deployment, in the next sync wave.
func (a *assembly) adapter(l profile.Adapter) object {
	return object{
		"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoModel",
		"metadata": a.metadata(objectName(a.name, strings.ReplaceAll(l.Name, "/", "-")), notes("1")),
		"spec": object{
			"modelName": l.Name, "baseModelName": a.req.Spec.Model, "modelType": "lora",
			"source": object{"uri": l.Source},
		},
	}
}
