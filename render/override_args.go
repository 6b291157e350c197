package render

import (
	"fmt"
	"slices"
	"strings"
)

// patchKey marks a container of a v1beta1 override whose args are to be appended
// to the generated ones: $patch: {args: append}.
const patchKey = "$patch"

// patch is one such mark.
type patch struct {
	component int // index in the override
	path      string
	list      string // containers or initContainers
	container object // of the override, without the mark
}

// takePatches takes the marks, which no schema knows, out of the override. It
// also settles scalingAdapter, which Dynamo 1.5 itself writes in a form that its
// definition of v1beta1 refuses.
func (o *override) takePatches() []patch {
	var patches []patch
	spec, _ := o.partial["spec"].(object)
	items, _ := spec["components"].([]any)
	for i, item := range items {
		c, _ := item.(object)
		path := fmt.Sprintf("spec.components[%d]", i)
		o.scalingMarker(path+".scalingAdapter.enabled", c)
		for _, list := range []string{"containers", "initContainers"} {
			containers, _ := podOf(c)[list].([]any)
			for j, item := range containers {
				container, _ := item.(object)
				mark, given := container[patchKey]
				if !given {
					continue
				}
				delete(container, patchKey)
				at := fmt.Sprintf("%s.podTemplate.spec.%s[%d]", path, list, j)
				if m, ok := mark.(object); !ok || len(m) != 1 || m["args"] != "append" {
					o.problem(at+"."+patchKey, "must be {args: append}, the only patch there is")
					continue
				}
				patches = append(patches, patch{i, at, list, container})
			}
		}
	}
	return patches
}

func (o *override) scalingMarker(path string, c object) {
	adapter, _ := c["scalingAdapter"].(object)
	switch enabled, given := adapter["enabled"]; {
	case !given:
		return
	case enabled == true:
		o.warn(path, "is not a field of v1beta1; scalingAdapter: {} is used")
	default:
		o.problem(path, "is not a field of v1beta1, where the adapter is on when scalingAdapter is there; leave scalingAdapter out")
	}
	delete(adapter, "enabled")
}

// appendArgs replaces the args of a patch by the generated ones and its own
// after them. A flag given twice counts as it is given last.
func (o *override) appendArgs(p patch, base object) {
	own, _ := p.container["args"].([]any)
	if len(own) == 0 {
		o.problem(p.path+"."+patchKey, "needs args to append")
		return
	}
	items, _ := podOf(base)[p.list].([]any)
	for _, item := range items {
		container, _ := item.(object)
		if container["name"] != p.container["name"] {
			continue
		}
		generated, _ := container["args"].([]any)
		if len(generated) == 0 {
			break
		}
		p.container["args"] = slices.Concat(generated, own)
		return
	}
	o.problem(p.path+"."+patchKey, "no generated container %v of component %v has args to append to", p.container["name"], base["name"])
}

// checkArgs reports generated args that the override lost by giving its own.
func (o *override) checkArgs(path string, base, merged object) {
	generated, _ := mainOf(base)["args"].([]any)
	args, _ := mainOf(merged)["args"].([]any)
	command, _ := mainOf(merged)["command"].([]any)
	var lost []string
	for _, arg := range generated {
		flag, _ := arg.(string)
		if strings.HasPrefix(flag, "-") && !hasFlag(args, flag) && !slices.Contains(lost, flag) {
			lost = append(lost, flag)
		}
	}
	remedy := "to add to the args instead, set $patch: {args: append} beside them"
	if o.version == alphaVersion {
		remedy = "give them in the override too"
	}
	if slices.Contains(lost, "-m") && !hasFlag(command, "-m") {
		o.problem(path, "its args replace %s of component %v, without which nothing starts; %s", quoteArgs(generated), base["name"], remedy)
		return
	}
	if len(lost) > 0 {
		o.warn(path, "its args replace those of component %v, of which %s are lost; %s", base["name"], strings.Join(lost, " "), remedy)
	}
}

func quoteArgs(args []any) string {
	var words []string
	for _, arg := range args {
		words = append(words, fmt.Sprint(arg))
	}
	return fmt.Sprintf("%q", strings.Join(words, " "))
}
