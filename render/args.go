package render

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// args is the command line of a role: the flags that AIConfigurator generated,
// as Dynamo 1.5.1 completes them (profiler/utils/config_modifiers), with its
// defects mended.
func (a *assembly) args(role *profile.Role) ([]string, error) {
	line := commandLine(slices.Clone(role.Args))
	disagg := a.pick.Mode == profile.Disaggregated
	switch a.pick.Backend {
	case profile.BackendVLLM:
		// The generated length would cap a context that the model allows.
		line.drop("--max-model-len")
		if disagg {
			// Both sides need the connector: without it decode cannot receive the KV cache.
			line.set("--disaggregation-mode", string(role.Name))
			line.set("--kv-transfer-config", releaseOf(a.req).connector(role.Name))
		}
	case profile.BackendSGLang:
		if role.Name == profile.RolePrefill {
			line.limitPrefill()
		}
		line.cleanGraphSizes()
		line.rename(graphSizes, releaseOf(a.req).graphs)
		if disagg {
			line.set("--disaggregation-mode", string(role.Name))
			line.set("--disaggregation-bootstrap-port", "12345")
			line.set("--host", "0.0.0.0")
		}
	case profile.BackendTRTLLM:
		if disagg {
			line.set("--disaggregation-mode", string(role.Name))
		}
	}
	line.set(a.engine.modelFlag, a.modelPath())
	line.set("--served-model-name", a.req.Spec.Model)
	if a.pick.Backend == profile.BackendTRTLLM {
		line.set("--trtllm.enable_chunked_prefill", "true")
	}
	return line, nil
}

// commandLine is a list of flags, each followed by its values.
type commandLine []string

// lineOf is the command line of a container.
func lineOf(container object) commandLine {
	args, _ := container["args"].([]any)
	var line commandLine
	for _, arg := range args {
		if s, ok := arg.(string); ok { // the schema holds overrides to strings
			line = append(line, s)
		}
	}
	return line
}

func isFlag(arg string) bool {
	return strings.HasPrefix(arg, "--")
}

// find returns where a flag and its values begin and end, or -1. Of several it
// is the first.
func (l commandLine) find(flag string) (from, to int) {
	from = slices.IndexFunc(l, func(arg string) bool {
		return arg == flag || strings.HasPrefix(arg, flag+"=")
	})
	if from < 0 {
		return -1, -1
	}
	to = from + 1
	for to < len(l) && !isFlag(l[to]) {
		to++
	}
	return from, to
}

// values returns what follows a flag; ok is false when it is absent.
func (l commandLine) values(flag string) (values []string, ok bool) {
	from, to := l.find(flag)
	if from < 0 {
		return nil, false
	}
	if _, value, joined := strings.Cut(l[from], "="); joined {
		return []string{value}, true
	}
	return slices.Clone(l[from+1 : to]), true
}

// number returns the one whole number that follows a flag; ok is false when
// there is none.
func (l commandLine) number(flag string) (n int, ok bool) {
	values, _ := l.values(flag)
	if len(values) != 1 {
		return 0, false
	}
	n, err := strconv.Atoi(values[0])
	return n, err == nil
}

// drop removes every occurrence of a flag.
func (l *commandLine) drop(flag string) {
	for from, to := l.find(flag); from >= 0; from, to = l.find(flag) {
		*l = slices.Delete(*l, from, to)
	}
}

// set makes a flag the last one, with these values.
func (l *commandLine) set(flag string, values ...string) {
	l.drop(flag)
	*l = append(append(*l, flag), values...)
}

// replace changes the values of a flag in its place.
func (l *commandLine) replace(flag string, values ...string) {
	if from, to := l.find(flag); from >= 0 {
		*l = slices.Replace(*l, from, to, append([]string{flag}, values...)...)
	}
}

// rename gives a flag another name, in its place.
func (l *commandLine) rename(flag, as string) {
	if values, ok := l.values(flag); ok && flag != as {
		from, to := l.find(flag)
		*l = slices.Replace(*l, from, to, append([]string{as}, values...)...)
	}
}

// graphSizes is SGLang's flag for the batch sizes that it captures CUDA graphs for,
// as AIConfigurator writes it.
const graphSizes = "--cuda-graph-bs"

// limitPrefill keeps SGLang's limit per rank positive: under attention data
// parallelism the requests are divided among the ranks, and a CUDA graph is
// captured for one request on each (config_modifiers/sglang.py).
func (l *commandLine) limitPrefill() {
	requests, ok := l.number("--max-running-requests")
	if !ok {
		return
	}
	ranks, ok := l.number("--data-parallel-size")
	if !ok {
		ranks = 1
	}
	_, sized := l.values(graphSizes)
	_, disabled := l.values("--disable-cuda-graph")
	if requests == 1 && !sized && !disabled {
		l.set(graphSizes, strconv.Itoa(max(1, ranks)))
	}
	if _, attentionDP := l.values("--enable-dp-attention"); attentionDP && requests < ranks {
		l.set("--max-running-requests", strconv.Itoa(ranks))
	}
}

// cleanGraphSizes sorts the batch sizes that SGLang captures CUDA graphs for,
// and drops repeated ones and those beyond the most requests it will run: the
// generator joins a ladder up to 512 and the sizes around the pick unsorted.
func (l *commandLine) cleanGraphSizes() {
	values, ok := l.values(graphSizes)
	if !ok {
		return
	}
	limit, limited := l.number("--max-running-requests")
	var sizes []int
	for _, value := range values {
		n, err := strconv.Atoi(value)
		if err != nil {
			return // not what the generator writes: leave it to SGLang
		}
		if n > 0 && !(limited && n > limit) {
			sizes = append(sizes, n)
		}
	}
	if len(sizes) == 0 {
		return
	}
	slices.Sort(sizes)
	var clean []string
	for _, n := range slices.Compact(sizes) {
		clean = append(clean, strconv.Itoa(n))
	}
	l.replace(graphSizes, clean...)
}
