package render

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

//go:embed workload/download.py
var downloadScript string

const (
	downloadComponent = "download"
	cacheWave         = "-1"
)

// modelCache is the claim that spec.modelCache names and the Job that fills it.
func (a *assembly) modelCache() ([]object, error) {
	config, cache := a.req.Config, a.req.Spec.ModelCache
	if cache == nil {
		return nil, nil
	}
	var objs []object
	if config.ModelCache != nil {
		wave := cacheWave
		if config.Download == nil {
			wave = "" // nothing but the deployment uses the claim, so it comes with that
		}
		objs = append(objs, a.claim(cache.PVCName, config.ModelCache, wave))
	}
	if config.Download != nil {
		job, err := a.download(cache, config.Download)
		if err != nil {
			return nil, err
		}
		objs = append(objs, job)
	}
	return objs, nil
}

// checkAccess refuses claims that the pods of the deployment cannot mount together,
// as they start: a node or a pod has the volume, and the others wait for ever.
func (a *assembly) checkAccess(dgd object) error {
	config := a.req.Config
	var problems profile.Problems
	check := func(path string, claim *profile.Claim, users []object) {
		pods, gpus := 0, 0
		for _, c := range users {
			n, _ := gpusOf(c)
			multinode, _ := c["multinode"].(object)
			pods, gpus = pods+count(c["replicas"])*count(multinode["nodeCount"]), gpus+n
		}
		nodes := (gpus + a.req.Spec.Hardware.GPUsPerNode - 1) / a.req.Spec.Hardware.GPUsPerNode
		what := fmt.Sprintf("%d nodes", nodes)
		if claim.AccessMode == "ReadWriteOncePod" {
			what = fmt.Sprintf("%d pods", pods)
		}
		if claim.AccessMode == "ReadWriteOnce" && nodes > 1 || claim.AccessMode == "ReadWriteOncePod" && pods > 1 {
			problems = append(problems, config.Problem(path+".accessMode", fmt.Sprintf("is %s, and %s needs the claim on %s at once; set ReadWriteMany",
				claim.AccessMode, a.req.Name, what)))
		}
	}
	if cache := a.req.Spec.ModelCache; cache != nil && config.ModelCache != nil && !a.req.Spec.Features.Mocker {
		check("spec.modelCache", config.ModelCache, componentsOf(dgd))
	}
	if claim := config.CompilationCache; claim != nil && a.pick.Backend == profile.BackendTRTLLM {
		check("spec.compilationCache", claim, workersOf(dgd))
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func (a *assembly) download(cache *profile.ModelCache, d *profile.Download) (object, error) {
	if model := a.req.Spec.Model; strings.Count(model, "/") > 1 || strings.ContainsAny(model[:1], "/.~") {
		return nil, a.problem("spec.model", "%q is no Hugging Face id, and %s has it downloaded; leave download out there", model, a.req.Config.File)
	}
	where, err := a.destination()
	if err != nil {
		return nil, err
	}
	env := []any{
		object{"name": "HF_TOKEN", "valueFrom": object{"secretKeyRef": object{"name": d.TokenSecret, "key": "HF_TOKEN"}}},
		object{"name": "HF_HOME", "value": cache.PVCMountPath},
		object{"name": "HOME", "value": "/tmp"},
		object{"name": "MODEL", "value": a.req.Spec.Model},
	}
	container := object{
		"image":        a.image(),
		"command":      list([]string{"python3", "-c", downloadScript}),
		"env":          append(env, where...),
		"volumeMounts": []any{object{"name": volumeName(cache.PVCName), "mountPath": cache.PVCMountPath}},
	}
	if d.Image != "" {
		container["image"] = d.Image
	}
	if len(d.Resources) > 0 {
		container["resources"] = copyTree(d.Resources)
	}
	volume := object{"name": volumeName(cache.PVCName), "persistentVolumeClaim": object{"claimName": cache.PVCName}}
	return a.job(downloadComponent, notes(cacheWave), object{"backoffLimit": int64(6)}, nil, container, volume), nil
}

// destination tells the download where engines look for the model: in a snapshot of
// the Hugging Face cache, whose name is the revision, or in a plain directory.
func (a *assembly) destination() (env []any, err error) {
	model, where := a.req.Spec.Model, path.Clean(a.modelPath())
	variable := func(name, value string) { env = append(env, object{"name": name, "value": value}) }
	parts := strings.Split(where, "/")
	i := slices.Index(parts, "snapshots")
	if i < 1 || i+1 >= len(parts) || !strings.HasPrefix(parts[i-1], "models--") {
		variable("LOCAL_DIR", where)
		variable("MODEL_PATH", where)
		a.warnings = append(a.warnings, a.req.Problem("spec.modelCache.pvcModelPath", fmt.Sprintf(
			"names no snapshot, so %s downloads whatever is the newest; to pin it, write hub/%s/snapshots/<commit hash>", a.req.Config.File, cacheFolder(model))))
		return env, nil
	}
	if parts[i-1] != cacheFolder(model) {
		return nil, a.problem("spec.modelCache.pvcModelPath", "is a snapshot of %s, and the download of %s goes to %s", parts[i-1], model, cacheFolder(model))
	}
	variable("REVISION", parts[i+1])
	variable("CACHE_DIR", strings.Join(parts[:i-1], "/"))
	variable("MODEL_PATH", strings.Join(parts[:i+2], "/"))
	return env, nil
}

// cacheFolder is the directory of a model in a Hugging Face cache.
func cacheFolder(model string) string {
	return "models--" + strings.ReplaceAll(model, "/", "--")
}
