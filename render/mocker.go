package render

import (
	"fmt"
	"strconv"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// mockerField is what switches the mocker on.
const mockerField = "spec.features.mocker"

// mockerEngine is how Dynamo starts the mocker, which plays the engines of a
// disaggregated pick without a GPU (profiler/templates/dgd/mocker/disagg.yaml).
func mockerEngine() engine {
	return engine{
		module: "dynamo.mocker", workingDir: "/workspace", modelFlag: "--model-path",
		prefill: "prefill", decode: "decode",
	}
}

// mock puts the mocker in the place of the engines: one of each role, and the
// measured curves where the mocker is to replay them.
func (a *assembly) mock() error {
	res, err := a.mocked()
	if err != nil {
		return err
	}
	a.ans.Result, a.pick, a.engine = res, &res.Pick, mockerEngine()
	if !a.replays() {
		return nil
	}
	at := "spec.searchStrategy"
	if a.req.Spec.Features.Planner != nil {
		at = "spec.features.planner.pre_deployment_sweeping_mode"
	}
	if res.Curves == nil {
		return a.problem(at, "is thorough, with which the mocker replays measured curves, and the result has none; "+
			"to let it take its timing from AIConfigurator's tables, set it to rapid")
	}
	data, err := planner.ProfileData(res.Curves, a.name)
	if err != nil {
		return a.problem(at, "%v; to let the mocker take its timing from AIConfigurator's tables, set it to rapid", err)
	}
	a.replayed = &data
	return nil
}

// mocked is the result with the pick that the mocker plays. A naive result, which
// is aggregated, gives each role the engine that it found to hold the model.
func (a *assembly) mocked() (*profile.Result, error) {
	res := *a.ans.Result
	roles := []profile.Role{}
	for _, name := range []profile.RoleName{profile.RolePrefill, profile.RoleDecode} {
		role := res.Pick.Role(name)
		if role == nil && res.Confidence == profile.Naive {
			role = res.Pick.Role(profile.RoleWorker)
		}
		if role == nil {
			return nil, a.problem(mockerField, "plays prefill and decode engines, and the result runs aggregated ones; "+
				"to have a result for it: dynamo-profile-runner run --force")
		}
		played := *role
		played.Name, played.Replicas = name, 1
		roles = append(roles, played)
	}
	res.Pick.Mode, res.Pick.Roles = profile.Disaggregated, roles
	res.Pick.TotalGPUs = roles[0].GPUsPerEngine + roles[1].GPUsPerEngine
	return &res, nil
}

// replays is whether the mocker's timing comes from measured curves rather than
// from AIConfigurator's tables (profiler/utils/profile_common.py).
func (a *assembly) replays() bool {
	return a.req.Inputs().SweepingMode == "thorough"
}

// mockers are the components of a deployment without engines. All run the image
// of the request: the planner's, which holds the mocker and the frontend too.
func (a *assembly) mockers() []object {
	components := []object{component("Frontend", "frontend", object{
		"image":   a.req.Spec.Image,
		"command": list([]string{"python3"}),
		"args":    list([]string{"-m", "dynamo.frontend"}),
	})}
	simulated := a.simulates()
	for _, name := range a.roleOrder() {
		role := a.pick.Role(name)
		line := commandLine{
			a.engine.modelFlag, a.req.Spec.Model, "--model-name", a.req.Spec.Model,
			"--speedup-ratio", "1.0", "--disaggregation-mode", string(name),
		}
		if simulated {
			line = append(line, a.tables(role)...)
		}
		if a.replayed != nil {
			line = append(line, "--planner-profile-data", a.replayed.Path)
		}
		c := component(a.engine.component(name), string(name), object{
			"image":      a.req.Spec.Image,
			"workingDir": a.engine.workingDir,
			"command":    list([]string{"python3", "-m", a.engine.module}),
			"args":       list([]string(line)),
			"envFrom":    hfToken(),
		})
		if a.replayed != nil {
			mountConfigMap(c, *a.replayed)
		}
		components = append(components, c)
	}
	return components
}

// simulates is whether the mocker can take its timing from AIConfigurator. It
// reads measured tables alone, and does not start on a system that has none.
func (a *assembly) simulates() bool {
	if a.replayed != nil {
		return false
	}
	switch a.ans.Result.Basis() {
	case profile.Naive, profile.Estimated, "": // an imported one may not tell
		a.warnings = append(a.warnings, a.req.Problem(mockerField, fmt.Sprintf(
			"has no measured tables of %s on %s to take its timing from; it plays an engine of no particular kind",
			a.req.Spec.Model, a.pick.System)))
		return false
	}
	for _, role := range a.pick.Roles {
		if role.Parallelism.PP > 1 {
			a.warnings = append(a.warnings, a.req.Problem(mockerField, fmt.Sprintf(
				"knows no pipeline parallelism; it plays the %s engine as if it had one stage instead of %d", role.Name, role.Parallelism.PP)))
		}
	}
	return true
}

// tables are the flags with which the mocker finds an engine in AIConfigurator's
// tables (profiler/utils/dgd_generation.py). It schedules like vLLM or SGLang;
// TensorRT-LLM engines keep its default and give the timing alone.
func (a *assembly) tables(role *profile.Role) []string {
	backend, p := string(a.pick.Backend), role.Parallelism
	flags := []string{
		"--aic-perf-model", "--aic-backend", backend, "--aic-backend-version", "current", "--aic-system", a.pick.System,
		"--aic-tp-size", strconv.Itoa(p.TP), "--aic-moe-tp-size", strconv.Itoa(p.MoETP),
		"--aic-moe-ep-size", strconv.Itoa(p.MoEEP), "--aic-attention-dp-size", strconv.Itoa(p.DP),
	}
	if a.pick.Backend != profile.BackendTRTLLM {
		flags = append(flags, "--engine-type", backend)
	}
	return flags
}
