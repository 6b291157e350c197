package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// workload is what a DynamoCMPConfig asks for around a deployment, which is v1beta1
// and final. Argo CD applies it in sync waves: the claim and the download that
// fills it are in one, as a claim may stay pending until a pod uses it.
func (a *assembly) workload(dgd object) ([]object, error) {
	config := a.req.Config
	if config == nil {
		return nil, nil
	}
	if err := a.checkAccess(dgd); err != nil {
		return nil, err
	}
	objs, err := a.modelCache()
	if err != nil {
		return nil, err
	}
	if claim := config.CompilationCache; claim != nil && a.pick.Backend == profile.BackendTRTLLM {
		objs = append(objs, a.claim(a.name+compilationSuffix, claim, ""))
	}
	if config.PodMonitors {
		objs = append(objs, a.podMonitor())
	}
	if config.MaxUnavailable != "" {
		objs = append(objs, a.disruptionBudgets(dgd)...)
	}
	for _, adapter := range config.Adapters {
		objs = append(objs, a.adapter(adapter))
	}
	if config.Benchmark != nil {
		objs = append(objs, a.benchmark())
	}
	return objs, nil
}

const (
	waveAnnotation  = "argocd.argoproj.io/sync-wave"
	deploymentLabel = "nvidia.com/dynamo-graph-deployment-name"
	componentLabel  = "nvidia.com/dynamo-component"
	// deploymentNote is the annotation by which a Job knows its deployment.
	deploymentNote = annotationPrefix + "deployment"
)

// claim is a PersistentVolumeClaim. Requests may share it, so it names none.
func (a *assembly) claim(name string, c *profile.Claim, wave string) object {
	meta := a.metadata(name, notes(wave))
	meta["labels"] = managed("")
	spec := object{
		"accessModes": []any{c.AccessMode},
		"resources":   object{"requests": object{"storage": c.Size}},
	}
	if c.StorageClass != "" {
		spec["storageClassName"] = c.StorageClass
	}
	return object{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
}

func notes(wave string) object {
	if wave == "" {
		return nil
	}
	return object{waveAnnotation: wave}
}

// managed are the labels of an object that several requests may share.
func managed(component string) object {
	labels := object{"app.kubernetes.io/managed-by": "dynamo-cmp"}
	if component != "" {
		labels["app.kubernetes.io/component"] = component
	}
	return labels
}

// job is a Job of one container that runs a Python script. Its name carries a hash
// of what it does: a Job cannot be changed, so another one takes its place.
func (a *assembly) job(component string, annotations, spec, podNotes, container object, volumes ...any) object {
	container["name"] = "main"
	container["image"] = a.mirrored(fmt.Sprint(container["image"]))
	container["securityContext"] = object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []any{"ALL"}}}
	pod := object{
		"restartPolicy": "Never", // the pods of failed attempts stay, with their logs
		// The user of Dynamo's images, so that engines may write beside what it writes.
		"securityContext": object{
			"runAsNonRoot": true, "runAsUser": int64(1000), "fsGroup": int64(1000), "fsGroupChangePolicy": "OnRootMismatch",
			"seccompProfile": object{"type": "RuntimeDefault"},
		},
		"containers": []any{container},
	}
	if len(volumes) > 0 {
		pod["volumes"] = volumes
	}
	if secrets := a.pullSecrets(); len(secrets) > 0 {
		pod["imagePullSecrets"] = secrets
	}
	template := object{"metadata": object{"labels": managed(component)}, "spec": pod}
	if len(podNotes) > 0 {
		template["metadata"].(object)["annotations"] = podNotes
	}
	spec["template"] = template
	meta := a.metadata(objectName(a.name, component, contentHash(spec)), annotations)
	maps.Copy(meta["labels"].(object), managed(component))
	return object{"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}
}

// hashLength is that of contentHash.
const hashLength = 10

// contentHash tells JSON trees apart.
func contentHash(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("hashing a %T: %v", v, err)) // a JSON tree of ours
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:hashLength]
}

var unnameable = regexp.MustCompile(`[^a-z0-9]+`)

// objectName joins words to a name that is also a label's value.
func objectName(words ...string) string {
	const longest = 63
	whole := strings.Join(words, "-")
	name := strings.Trim(unnameable.ReplaceAllString(strings.ToLower(whole), "-"), "-")
	if len(name) > longest {
		name = strings.TrimRight(name[:longest-1-hashLength], "-") + "-" + contentHash(whole)
	}
	return name
}

// commons are the objects that requests of one build have in common, by what they
// are: a claim, and the download of a model into it.
type commons map[string]bool

// first drops what an earlier request of the same place has brought already.
func (s commons) first(place string, objs []object) []object {
	var out []object
	for _, obj := range objs {
		meta, _ := obj["metadata"].(object)
		labels, _ := meta["labels"].(object)
		name := fmt.Sprint(meta["name"])
		switch {
		case obj["kind"] == "PersistentVolumeClaim":
		case obj["kind"] == "Job" && labels["app.kubernetes.io/component"] == downloadComponent:
			name = name[max(0, len(name)-hashLength):]
		default:
			out = append(out, obj)
			continue
		}
		id := fmt.Sprint(place, " ", obj["kind"], " ", meta["namespace"], " ", name)
		if !s[id] {
			out = append(out, obj)
		}
		s[id] = true
	}
	return out
}
