package planner

import (
	"fmt"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Warnings returns what the planner will coerce, ignore or need without saying
// so, with the remedy, in the order of the lines; nil when the planner is off.
func Warnings(req *profile.Request) profile.Problems {
	if req.Spec.Features.Planner == nil {
		return nil
	}
	cfg, _ := read(req)
	n := notes{req: req, config: cfg}
	n.target()
	n.latency()
	n.budget()
	n.dropped()
	n.secrets()
	return inOrder(n.found)
}

// notes collects warnings about one configuration.
type notes struct {
	*config
	req   *profile.Request
	found profile.Problems
}

func (n *notes) add(path, format string, args ...any) {
	n.found = append(n.found, n.req.Problem(path, fmt.Sprintf(format, args...)))
}

func (n *notes) field(name, format string, args ...any) {
	n.add(n.path(name), format, args...)
}

// target: what counts for one optimization_target only.
func (n *notes) target() {
	target := n.text("optimization_target")
	const remedy = "set optimization_target: sla to use it"
	if target != "sla" {
		for _, name := range []string{"ttft_ms", "itl_ms"} {
			if n.isSet(name) {
				n.field(name, "is ignored with optimization_target %s; %s", target, remedy)
			}
		}
		if n.isSet("enable_throughput_scaling") && n.flag("enable_throughput_scaling") {
			n.field("enable_throughput_scaling", "is switched off with optimization_target %s; %s", target, remedy)
		}
		if n.isSet("enable_load_scaling") && !n.flag("enable_load_scaling") {
			n.field("enable_load_scaling", "is switched on with optimization_target %s; leave it out", target)
		}
	}
	thresholds := []string{
		"prefill_scale_up_queue_tokens", "prefill_scale_down_queue_tokens",
		"decode_scale_up_kv_rate", "decode_scale_down_kv_rate",
	}
	for _, name := range thresholds {
		if target != "load" && n.value(name) != nil {
			n.field(name, "is ignored with optimization_target %s; set optimization_target: load to use it", target)
		}
	}
	if !n.throughputScaling() {
		return
	}
	n.field("optimization_target", "sla scales on traffic metrics from Prometheus; "+
		"see that the operator knows its endpoint and that the frontend is scraped")
	if n.value(sweeping) == nil || n.text(sweeping) == "none" {
		n.field(sweeping, "gives throughput scaling no first samples; set it to rapid")
	}
}

// latency: without targets the result and the planner each take their own.
func (n *notes) latency() {
	sla := n.req.Spec.SLA
	given := sla.TTFTMillis != nil || sla.ITLMillis != nil || sla.E2ELatencyMillis != nil
	if n.text("optimization_target") != "sla" || given || n.isSet("ttft_ms") && n.isSet("itl_ms") {
		return
	}
	t := sla.Targets()
	n.add("spec.sla", "is not set: the result is sized for ttft %v and itl %v, the planner scales for ttft_ms %v and itl_ms %v; "+
		"set spec.sla.ttft and spec.sla.itl", t.TTFTMillis, t.ITLMillis, n.number("ttft_ms"), n.number("itl_ms"))
}

func (n *notes) budget() {
	if !n.isSet("max_gpu_budget") {
		return
	}
	total := n.req.Spec.Hardware.TotalGPUs
	switch budget := n.number("max_gpu_budget"); {
	case budget < 0:
		n.field("max_gpu_budget", "lets the planner take any number of GPUs; leave it out for hardware.totalGpus, which is %d", total)
	case budget > float64(total):
		n.field("max_gpu_budget", "is %v, above hardware.totalGpus, which is %d", budget, total)
	}
}

// podDecides are fields that are not written: the operator gives the planner's
// pod their values, and a written one would win over it.
func podDecides() map[string]string {
	return map[string]string{
		"namespace":                        "the operator sets it",
		"metric_pulling_prometheus_token":  "a ConfigMap is no place for a token; use metric_pulling_prometheus_token_file, or PROMETHEUS_TOKEN through overrides.dgd",
		"metric_reporting_prometheus_port": "0 would switch the planner's own metrics off; the operator sets the port",
	}
}

// isDropped is whether a field that the author set stays out of the
// configuration.
func (c *config) isDropped(name string) bool {
	_, dropped := podDecides()[name]
	if name == "metric_reporting_prometheus_port" {
		return c.number(name) == 0
	}
	return dropped
}

func (n *notes) dropped() {
	for name, why := range podDecides() {
		if n.isSet(name) && n.isDropped(name) {
			n.field(name, "is left out: %s", why)
		}
	}
}

// secrets: values that the file, and the ConfigMap, show to every reader.
func (n *notes) secrets() {
	const shown = "is seen by every reader of Git and of the ConfigMap; use a secret that opens nothing else"
	scheduling, _ := n.value("scheduling").(map[string]any)
	plugins, _ := scheduling["external_plugins"].([]any)
	for i, p := range plugins {
		if plugin, _ := p.(map[string]any); plugin["auth_token"] != nil && plugin["auth_token"] != "" {
			n.field(fmt.Sprintf("scheduling.external_plugins[%d].auth_token", i), shown)
		}
	}
	registration, _ := n.value("plugin_registration").(map[string]any)
	auth, _ := registration["auth"].(map[string]any)
	if secrets, _ := auth["static_secrets"].(map[string]any); len(secrets) > 0 {
		n.field("plugin_registration.auth.static_secrets", shown)
	}
}
