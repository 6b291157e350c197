package rendertest

import "reflect"

// plannerRules are the deviations of planner_config.json. What a sparse
// configuration leaves to the class defaults is compared in package planner.
func plannerRules() []rule {
	return []rule{
		{"planner-config-sparse", sparseConfig},
		derived("planner-backend", "backend"),
		derived("planner-model-name", "model_name"),
		derived("planner-gpu-budget", "max_gpu_budget"),
	}
}

// sparseConfig drops what we leave to the defaults of the planner's own class.
func sparseConfig(g *golden) (fired bool) {
	for key := range g.want.plannerConfig {
		if _, ok := g.got.plannerConfig[key]; !ok {
			delete(g.want.plannerConfig, key)
			fired = true
		}
	}
	return fired
}

// derived is a field that Dynamo leaves at its default and we take from the
// request and the pick.
func derived(name, key string) rule {
	return rule{name, func(g *golden) bool {
		value, ok := g.got.plannerConfig[key]
		if !ok || reflect.DeepEqual(value, g.want.plannerConfig[key]) {
			return false
		}
		g.want.plannerConfig[key] = value
		return true
	}}
}
