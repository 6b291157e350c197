package render

import "github.com/dynamo-cmp/dynamo-cmp/profile"

// SingleEngine generates the DGD that measures one engine of a disaggregated pick by
// itself: the deployment that would be shipped with it, without the other role and
// without what tells an engine that there is one. A prefill engine does not cache
// prefixes, so that every prompt is computed; a decode engine does, so that a prompt
// sent before costs nothing (Dynamo 1.5: profiler/utils/config_modifiers, convert_config).
//
// The request's overrides apply, its planner and its mocker do not.
func SingleEngine(req *profile.Request, model profile.Model, engine profile.Role, name string) (map[string]any, error) {
	alone := *req
	alone.Spec.Features = profile.Features{}
	engine.Replicas = 1
	prefill, decode := engine, engine
	prefill.Name, decode.Name = profile.RolePrefill, profile.RoleDecode
	ans := Answer{Result: &profile.Result{Model: model, Pick: profile.Pick{
		Mode: profile.Disaggregated, Backend: req.Spec.Backend, System: req.Spec.Hardware.GPUSKU,
		TotalGPUs: 2 * engine.GPUsPerEngine, Roles: []profile.Role{prefill, decode},
	}}}
	a := &assembly{req: &alone, ans: ans, pick: &ans.Result.Pick, engine: releaseOf(req).engine(req.Spec.Backend), name: name}
	dgd, err := a.dgd()
	if err != nil {
		return nil, err
	}
	a.isolate(dgd, engine.Name, model.MoE)
	// An override may name the deployment, which is one of several here.
	dgd["metadata"] = object{"name": name}
	if err := a.check([]object{dgd}); err != nil {
		return nil, err
	}
	return dgd, nil
}

// isolate leaves the component of one role, under the name of the decode role, as an
// engine that serves alone.
func (a *assembly) isolate(dgd object, role profile.RoleName, moe bool) {
	keep := a.engine.component(role)
	var left []any
	for _, c := range componentsOf(dgd) {
		switch {
		case c["type"] == "frontend":
		case c["name"] == keep:
			c["name"], c["type"], c["replicas"] = a.engine.decode, string(profile.RoleDecode), int64(1)
			main := mainOf(c)
			line := lineOf(main)
			a.serveAlone(&line, role, moe)
			main["args"] = list([]string(line))
		default:
			continue
		}
		left = append(left, c)
	}
	dgd["spec"].(object)["components"] = left
}

// serveAlone takes the flags of disaggregation out of an engine's command line.
func (a *assembly) serveAlone(line *commandLine, role profile.RoleName, moe bool) {
	prefill := role == profile.RolePrefill
	line.drop("--disaggregation-mode")
	switch a.pick.Backend {
	case profile.BackendVLLM:
		line.drop("--is-prefill-worker")
		caching := map[bool]string{true: "--no-enable-prefix-caching", false: "--enable-prefix-caching"}
		line.drop(caching[!prefill])
		line.set(caching[prefill])
	case profile.BackendSGLang:
		line.drop("--disaggregation-transfer-backend")
		line.drop("--disaggregation-bootstrap-port")
		line.drop("--disable-radix-cache")
		if prefill {
			line.set("--disable-radix-cache")
		} else if moe {
			// A prompt has to meet the rank that has it cached.
			line.set("--load-balance-method", "round_robin")
		}
	case profile.BackendTRTLLM:
		line.drop("--disaggregation-strategy")
		line.set("--trtllm.cache_transceiver_config", "none")
		if prefill {
			line.set("--trtllm.kv_cache_config.enable_block_reuse", "false")
			line.set("--trtllm.disable_overlap_scheduler", "false")
		} else {
			line.set("--trtllm.kv_cache_config.enable_block_reuse", "true")
		}
	}
}
