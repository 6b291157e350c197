// Package planner turns features.planner of a request, and the result that
// answers it, into what the Dynamo Planner needs: its configuration in
// ConfigMaps, the component that runs it, and the roles that it scales.
//
// It works on values only. The rules are those of PlannerConfig in ai-dynamo
// 1.5.1 (dynamo/planner/config/planner_config.py) and of the profiler that fills
// it (dynamo/profiler/utils/dgd_generation.py).
package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Planner is what one deployment gains by having a planner.
type Planner struct {
	Mode        string             // disagg, agg, prefill or decode: what the planner manages
	ConfigMaps  []ConfigMap        // the configuration, then the profile data where there is any
	Component   Component          // the planner itself
	ScaledRoles []profile.RoleName // roles whose replicas belong to the planner; none when it only advises
	Warnings    profile.Problems   // what was changed or missed in view of the result
}

// Check returns everything wrong with features.planner that can be seen without
// a result, in the order of the lines; nil when the planner is off.
func Check(req *profile.Request) profile.Problems {
	if req.Spec.Features.Planner == nil {
		return nil
	}
	cfg, problems := read(req)
	problems = append(problems, cfg.violations(req)...)
	if req.Spec.SearchStrategy == profile.StrategyThorough && cfg.text("mode") == "agg" {
		problems = append(problems, req.Problem(cfg.path("mode"),
			"agg contradicts searchStrategy thorough, which measures prefill and decode engines; leave it out"))
	}
	return inOrder(problems)
}

// Build derives the planner of a deployment named dgdName, which runs the pick
// of res. It returns nil without an error when the planner is off. An error is
// profile.Problems wherever a field of the request is at fault.
func Build(req *profile.Request, res *profile.Result, dgdName string) (*Planner, error) {
	if req.Spec.Features.Planner == nil {
		return nil, nil
	}
	cfg, problems := read(req)
	problems = append(problems, cfg.adopt(req, res)...)
	problems = append(problems, cfg.violations(req)...)
	warnings, over := cfg.derive(req, res)
	problems = append(problems, over...)
	if len(problems) > 0 {
		return nil, inOrder(problems)
	}

	maps, err := cfg.configMaps(req, res, dgdName)
	if err != nil {
		return nil, err
	}
	return &Planner{
		Mode:        cfg.text("mode"),
		ConfigMaps:  maps,
		Component:   newComponent(req.Spec.Image),
		ScaledRoles: cfg.scaledRoles(),
		Warnings:    inOrder(warnings),
	}, nil
}

// configMaps are the configuration and, where the planner needs them, the curves.
func (c *config) configMaps(req *profile.Request, res *profile.Result, dgdName string) ([]ConfigMap, error) {
	data, err := c.encode()
	if err != nil {
		return nil, err
	}
	configuration, err := newConfigMap(dgdName, configPrefix, configPath, map[string]string{configFile: data})
	if err != nil {
		return nil, profile.Problems{req.Problem(root, err.Error())}
	}
	if !c.shipsCurves(req, res) {
		return []ConfigMap{configuration}, nil
	}
	curves, err := ProfileData(res.Curves, dgdName)
	if err == nil {
		err = c.checkSamples(res.Curves)
	}
	if err != nil {
		return nil, profile.Problems{req.Problem(c.path(sweeping),
			err.Error()+"; to have the planner start from AIConfigurator's tables instead, set it to rapid")}
	}
	return []ConfigMap{configuration, curves}, nil
}

// checkSamples holds curves against the sample counts that the author may have set:
// with fewer the planner is not ready, of more it keeps the last ones.
func (c *config) checkSamples(curves *profile.Curves) error {
	const least, most = "load_min_observations", "max_num_fpm_samples"
	for _, curve := range []struct {
		name   string
		points int
	}{{"prefill", len(curves.Prefill.ISL)}, {"decode", len(curves.Decode.KVUsage)}} {
		if n := float64(curve.points); n < c.number(least) || n > c.number(most) {
			return fmt.Errorf("checking %s curve: has %d points, %s is %v and %s is %v", curve.name, curve.points, least, c.number(least), most, c.number(most))
		}
	}
	return nil
}

// scaledRoles are the roles that get a scaling adapter. An aggregated worker is
// managed as the planner's decode role.
func (c *config) scaledRoles() []profile.RoleName {
	if c.flag("advisory") {
		return nil
	}
	switch c.text("mode") {
	case "agg":
		return []profile.RoleName{profile.RoleWorker}
	case "prefill":
		return []profile.RoleName{profile.RolePrefill}
	case "decode":
		return []profile.RoleName{profile.RoleDecode}
	default:
		return []profile.RoleName{profile.RolePrefill, profile.RoleDecode}
	}
}

// inOrder sorts problems by line, then by path.
func inOrder(problems profile.Problems) profile.Problems {
	slices.SortStableFunc(problems, func(a, b profile.Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Path, b.Path)
	})
	return problems
}
