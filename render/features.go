package render

import (
	"fmt"
	"slices"
	"strings"

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

// adviseRouting warns of a frontend that routes by KV without the engines saying
// what they have: by default it expects their events, and overrides that switch it
// on tend to forget them.
func (a *assembly) adviseRouting(dgd object) {
	spec := dgd["spec"].(object)
	var silent []string
	routes := false
	for _, c := range componentsOf(dgd) {
		line := lineOf(mainOf(c))
		if c["type"] == "frontend" {
			routes = routesByEvents(line, objects(mainOf(c)["env"]), objects(spec["env"]))
		}
	}
	if !routes || a.req.Spec.Features.Mocker {
		return
	}
	for _, c := range workersOf(dgd) {
		if !publishes(lineOf(mainOf(c))) {
			silent = append(silent, c["name"].(string))
		}
	}
	if len(silent) > 0 {
		a.warnings = append(a.warnings, a.req.Problem("spec.overrides.dgd", fmt.Sprintf("routes by KV events, and none come from %s; "+
			"set spec.features.kvRouter.enabled to have them, or add --no-router-kv-events to the args of Frontend to route without",
			strings.Join(silent, " and "))))
	}
}

// routesByEvents is whether a frontend routes by what engines say they have cached.
// A flag wins over the environment (dynamo/common/configuration, router_args.py).
func routesByEvents(line commandLine, environments ...[]object) bool {
	variable := func(name string) string {
		for _, env := range environments {
			for _, v := range env {
				if value, _ := v["value"].(string); v["name"] == name {
					return value
				}
			}
		}
		return ""
	}
	mode := variable("DYN_ROUTER_MODE")
	if values, ok := line.values("--router-mode"); ok {
		mode = strings.Join(values, " ")
	}
	_, guesses := line.values("--no-router-kv-events")
	return mode == "kv" && !guesses && variable("DYN_ROUTER_USE_KV_EVENTS") != "false"
}

// publishes is whether an engine says what it has cached, in the words of any backend.
func publishes(line commandLine) bool {
	return slices.ContainsFunc([]string{"--kv-events-config", "--publish-kv-events", "--publish-events-and-metrics"}, func(flag string) bool {
		_, ok := line.values(flag)
		return ok
	})
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
