package render

import (
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// routeByKV lets the frontend route by what the engines have cached, and lets
// the engines say so: Dynamo 1.5.1 sets only the first half.
func (a *assembly) routeByKV() {
	for _, c := range a.components {
		main := mainOf(c)
		if c["type"] == "frontend" {
			extend(main, "env", object{"name": "DYN_ROUTER_MODE", "value": "kv"})
			continue
		}
		if a.req.Spec.Features.Mocker {
			continue // publishes its events unasked
		}
		line := lineOf(main)
		switch a.pick.Backend {
		case profile.BackendVLLM:
			line.set("--kv-events-config", `{"publisher":"zmq","topic":"kv-events","endpoint":"tcp://*:20080","enable_kv_cache_events":true}`)
		case profile.BackendSGLang:
			line.set("--kv-events-config", `{"publisher":"zmq","topic":"kv-events","endpoint":"tcp://*:20080"}`)
		case profile.BackendTRTLLM:
			line.replace("--trtllm.kv_cache_config.enable_block_reuse", "true") // else there is nothing to route by
			line.set("--publish-kv-events")
		}
		main["args"] = list([]string(line))
	}
}

// addPlanner adds the planner's component and prepares the workers it scales
// (profiler/utils/dgd_generation.py).
func (a *assembly) addPlanner() {
	for _, name := range a.roleOrder() {
		a.scale(name)
	}
	p := a.planner.Component
	c := component(p.Name, "planner", object{
		"image":      p.Image,
		"workingDir": p.WorkingDir,
		"command":    list(p.Command),
		"args":       list(p.Args),
	})
	for _, cm := range a.planner.ConfigMaps {
		mountConfigMap(c, cm)
	}
	a.components = append(a.components, c)
	a.warnings = append(a.warnings, a.planner.Warnings...)
}

func mountConfigMap(c object, cm planner.ConfigMap) {
	mount(c, cm.Path, true, object{"name": cm.Volume, "configMap": object{"name": cm.Name}})
}

// scale hands the replicas of a role to the planner, where it scales the role.
func (a *assembly) scale(role profile.RoleName) {
	name := a.engine.component(role)
	i := slices.IndexFunc(a.components, func(c object) bool { return c["name"] == name })
	c := a.components[i]
	if role == profile.RoleWorker {
		c["type"] = "decode" // how the planner finds the engines that do both
	}
	if a.pick.Backend == profile.BackendVLLM && !a.req.Spec.Features.Mocker {
		mode := string(role)
		if role == profile.RoleWorker {
			mode = "agg"
		}
		extend(mainOf(c), "env", object{"name": "DYN_BENCHMARK_MODE", "value": mode})
	}
	if slices.Contains(a.planner.ScaledRoles, role) {
		c["scalingAdapter"] = object{}
		delete(c, "replicas")
	}
}
