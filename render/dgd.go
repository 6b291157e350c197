package render

import (
	"fmt"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// secretName is the secret with the Hugging Face token, as Dynamo's templates
// name it. Pods wait for it even where the model is public.
const secretName = "hf-token-secret"

// assembly is one DynamoGraphDeployment (DGD) on its way from the pick to the
// manifest. Its steps are in the order of Dynamo's own (profiler/profile_sla.py
// and utils/dgd_materialization.py).
type assembly struct {
	req     *profile.Request
	ans     Answer
	pick    *profile.Pick
	engine  engine
	name    string           // of the deployment
	planner *planner.Planner // nil when the planner is off

	replayed *planner.ConfigMap // the curves that mocker workers replay; nil where they do not

	namespace  string // empty for whichever it is applied to
	patched    bool   // a kustomization has changed the documents since
	components []object
	warnings   profile.Problems
}

// assemble makes all documents of a request, the deployment last and in the given
// version.
func assemble(req *profile.Request, ans Answer, version string) ([]object, profile.Problems, error) {
	a, objs, err := generate(req, ans, req.DGDName(), req.Namespace)
	if err != nil {
		return nil, a.warnings, err
	}
	if err := a.check(objs); err != nil {
		return nil, a.warnings, err
	}
	last := len(objs) - 1
	objs[last], err = a.inVersion(objs[last], version)
	return objs, a.warnings, err
}

// generate makes the documents, whose names begin with name, without a look at
// whether a cluster would run them.
func generate(req *profile.Request, ans Answer, name, namespace string) (*assembly, []object, error) {
	a := &assembly{
		req: req, ans: ans, pick: &ans.Result.Pick, engine: releaseOf(req).engine(ans.Result.Pick.Backend), name: name, namespace: namespace,
	}
	a.adviseRelease()
	if req.Spec.Features.Mocker {
		if err := a.mock(); err != nil {
			return a, nil, err
		}
	}
	plan, err := planner.Build(req, a.ans.Result, a.name)
	if err != nil {
		return a, nil, err
	}
	a.planner = plan
	dgd, err := a.dgd()
	if err != nil {
		return a, nil, err
	}
	a.mirror(dgd)
	objs, err := a.workload(dgd)
	return a, append(append(objs, a.configMaps()...), dgd), err
}

// DGD generates the DynamoGraphDeployment alone: what is deployed to measure a
// candidate is what is shipped.
func DGD(req *profile.Request, ans Answer) (map[string]any, error) {
	objs, _, err := assemble(req, ans, "")
	if err != nil {
		return nil, err
	}
	return objs[len(objs)-1], nil
}

func (a *assembly) dgd() (object, error) {
	if a.req.Spec.Features.Mocker {
		a.components = a.mockers()
	} else if err := a.addEngines(); err != nil {
		return nil, err
	}
	if a.req.Spec.Features.KVRouter {
		a.routeByKV()
	}
	if a.planner != nil {
		a.addPlanner()
	}
	if v := a.req.Spec.RuntimeVersionOverride; v != "" {
		for _, c := range a.components {
			c["runtimeVersionOverride"] = v
		}
	}
	dgd := object{
		"apiVersion": "nvidia.com/v1beta1",
		"kind":       "DynamoGraphDeployment",
		"metadata":   a.metadata(a.name, a.annotations()),
		"spec":       object{"components": list(a.components)},
	}
	if err := a.equip(dgd); err != nil {
		return nil, err
	}
	return a.materialize(dgd)
}

func (a *assembly) addEngines() error {
	a.components = append(a.components, a.frontend())
	for _, name := range a.roleOrder() {
		c, err := a.worker(a.pick.Role(name))
		if err != nil {
			return err
		}
		a.components = append(a.components, c)
	}
	a.mountModelCache()
	return nil
}

// roleOrder is the order of the worker components in Dynamo's templates.
func (a *assembly) roleOrder() []profile.RoleName {
	if a.pick.Mode == profile.Disaggregated {
		return []profile.RoleName{profile.RoleDecode, profile.RolePrefill}
	}
	return []profile.RoleName{profile.RoleWorker}
}

// materialize applies what comes after generation, in Dynamo's order.
func (a *assembly) materialize(dgd object) (object, error) {
	dgd, warnings, err := applyOverride(dgd, a.req)
	a.warnings = append(a.warnings, warnings...)
	if err != nil {
		return nil, err
	}
	a.clampContext(dgd)
	a.adviseRouting(dgd)
	if err := a.trustRemoteCode(dgd); err != nil {
		return nil, err
	}
	return dgd, nil
}

func (a *assembly) configMaps() []object {
	var maps []planner.ConfigMap
	switch {
	case a.planner != nil:
		maps = a.planner.ConfigMaps
	case a.replayed != nil:
		maps = append(maps, *a.replayed)
	}
	var objs []object
	for _, cm := range maps {
		data := object{}
		for file, content := range cm.Data {
			data[file] = content
		}
		objs = append(objs, object{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": a.metadata(cm.Name, object{}),
			"data":     data,
		})
	}
	return objs
}

func (a *assembly) metadata(name string, annotations object) object {
	meta := object{"name": name, "labels": a.labels()}
	if a.namespace != "" {
		meta["namespace"] = a.namespace
	}
	if len(annotations) > 0 {
		meta["annotations"] = annotations
	}
	return meta
}

// problem is one fault of a field of the request, as an error.
func (a *assembly) problem(path, format string, args ...any) error {
	return profile.Problems{a.req.Problem(path, fmt.Sprintf(format, args...))}
}

// list is a slice as JSON trees hold it.
func list[T any](items []T) []any {
	out := make([]any, len(items))
	for i, item := range items {
		out[i] = item
	}
	return out
}
