package review

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// why says what moved a request: its inputs, its result, the tools that made it, and
// files that patch or surround it.
func why(base, head *Request, files []FileChange) []string {
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	changes := profile.Changes(base.Inputs(), head.Inputs())
	for _, c := range changes {
		say("input %s", c)
	}
	b, h := base.Result, head.Result
	if base.Digest != head.Digest && len(changes) == 0 {
		say("lock: result %s, now %s", short(base.Digest), short(head.Digest))
	}
	moved := func(what, was, now string) {
		if was != now {
			say("%s %s, now %s", what, orNone(was), orNone(now))
		}
	}
	moved("confidence", string(b.Confidence), string(h.Confidence))
	moved("the result is", kept(base), kept(head))
	moved("tool", b.Provenance.Name(), h.Provenance.Name())
	moved("performance tables", b.Provenance.Database, h.Provenance.Database)
	moved("measured image", b.Provenance.Image, h.Provenance.Image)
	if b.Pick.Backend == h.Pick.Backend {
		moved("performance tables of "+string(h.Pick.Backend), b.Pick.BackendVersion, h.Pick.BackendVersion)
	}
	for _, f := range files {
		switch name := path.Base(f.Path); {
		case name == "dynamo.lock":
		case f.Path == head.File && len(changes) > 0: // the inputs say it
		case f.Path == head.File:
			say("%s %s, in what no result depends on", f.Path, f.Status)
		default:
			say("%s %s", f.Path, f.Status)
		}
	}
	return out
}

// kept is how a lock holds the result of a request.
func kept(r *Request) string {
	if r.Estimate {
		return "an estimate until the measurement lands"
	}
	return "final"
}

func short(digest string) string {
	return orNone(digest[:min(len(digest), len("sha256:")+12)])
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// rollout says what applying the change does to what runs.
func rollout(base, head map[string]any) []string {
	switch {
	case base == nil && head == nil:
		return nil
	case base == nil:
		return []string{fmt.Sprintf("starts %s: %s", nameOfObject(head), strings.Join(names(head), ", "))}
	case head == nil:
		return []string{fmt.Sprintf("stops %s: %s", nameOfObject(base), strings.Join(names(base), ", "))}
	case nameOfObject(base) != nameOfObject(head):
		return []string{fmt.Sprintf("recreate: %s is deleted and %s is created", nameOfObject(base), nameOfObject(head))}
	}
	if was, now := backend(base), backend(head); was != now {
		return []string{fmt.Sprintf("recreate: the backend is %s, now %s, which Dynamo does not change in place; delete %s, then sync", orNone(was), orNone(now), nameOfObject(head))}
	}
	if was, now := names(base), names(head); !slices.Equal(was, now) {
		return []string{fmt.Sprintf("recreate: the components are %s, now %s, which Dynamo does not change in place; delete %s, then sync",
			strings.Join(was, ", "), strings.Join(now, ", "), nameOfObject(head))}
	}
	if reflect.DeepEqual(base, head) {
		return nil
	}
	return inPlace(base, head)
}

// inPlace is what a change of components that all stay does.
func inPlace(base, head map[string]any) []string {
	var restart, scale []string
	was := map[string]map[string]any{}
	for _, c := range render.Components(base) {
		was[fmt.Sprint(c["name"])] = c
	}
	all := !reflect.DeepEqual(beside(base), beside(head))
	for _, c := range render.Components(head) {
		name := fmt.Sprint(c["name"])
		old, now := maps.Clone(was[name]), maps.Clone(c)
		if from, to := render.Size(old).Replicas, render.Size(now).Replicas; from != to {
			scale = append(scale, fmt.Sprintf("%s from %d to %d", name, from, to))
		}
		for _, field := range []string{"replicas", "scalingAdapter"} {
			delete(old, field)
			delete(now, field)
		}
		if all || !reflect.DeepEqual(old, now) {
			restart = append(restart, name)
		}
	}
	slices.Sort(restart)
	slices.Sort(scale)
	var out []string
	if len(restart) > 0 {
		out = append(out, "restarts "+strings.Join(restart, ", "))
	}
	if len(scale) > 0 {
		out = append(out, "scales "+strings.Join(scale, ", "))
	}
	if len(out) == 0 {
		return []string{"nothing restarts: labels and annotations of the deployment alone"}
	}
	return out
}

// beside is what a deployment says for all of its components.
func beside(dgd map[string]any) map[string]any {
	spec, _ := dgd["spec"].(map[string]any)
	rest := maps.Clone(spec)
	delete(rest, "components")
	delete(rest, "services")
	return rest
}

func backend(dgd map[string]any) string {
	spec, _ := dgd["spec"].(map[string]any)
	name, _ := spec["backendFramework"].(string)
	if name != "" {
		return name
	}
	for _, c := range render.Components(dgd) { // the module that it runs
		for _, known := range []string{string(profile.BackendVLLM), string(profile.BackendSGLang), string(profile.BackendTRTLLM), "mocker"} {
			if runs(c, "dynamo."+known) {
				return known
			}
		}
	}
	return ""
}

// runs says whether the main container of a component is started with that module.
func runs(component map[string]any, module string) bool {
	template, _ := component["podTemplate"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	containers, _ := pod["containers"].([]any)
	for _, c := range containers {
		container, _ := c.(map[string]any)
		command, _ := container["command"].([]any)
		args, _ := container["args"].([]any)
		if slices.Contains(slices.Concat(command, args), any(module)) {
			return true
		}
	}
	return false
}

func nameOfObject(dgd map[string]any) string {
	meta, _ := dgd["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	if namespace, _ := meta["namespace"].(string); namespace != "" {
		return namespace + "/" + name
	}
	return name
}

// names are those of the components of a deployment.
func names(dgd map[string]any) []string {
	var out []string
	for _, c := range render.Components(dgd) {
		out = append(out, fmt.Sprint(c["name"]))
	}
	slices.Sort(out)
	return out
}
