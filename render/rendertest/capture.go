package rendertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Result builds the result that a case's captured pick stands for. It is for
// comparing the renderer alone; predictions are left out.
func Result(caseDir string, req *profile.Request) (*profile.Result, error) {
	generator, err := readMap(filepath.Join(caseDir, "capture", "generator_config.yaml"))
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(caseDir, "capture", "picked_dgd.yaml"))
	if err != nil {
		return nil, err
	}
	picked, err := parse(data)
	if err != nil {
		return nil, err
	}
	var pick struct {
		Backend profile.Backend `json:"resolved_backend"`
	}
	data, err = os.ReadFile(filepath.Join(caseDir, "capture", "pick.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &pick); err != nil {
		return nil, err
	}
	res := &profile.Result{
		Schema: profile.ResultSchema, Inputs: req.Inputs(), Confidence: profile.Simulated,
		Pick: profile.Pick{Mode: profile.Aggregated, Backend: pick.Backend, BackendVersion: backendVersion(caseDir), System: req.Inputs().Hardware.System},
	}
	// DeepSeek's config.json has an auto_map; no other model of the goldens does.
	res.Model.CustomCode = strings.HasPrefix(req.Spec.Model, "deepseek-ai/")
	if dig(generator, "DynConfig")["mode"] == "disagg" {
		res.Pick.Mode = profile.Disaggregated
	}
	for _, kind := range []string{"worker", "prefill", "decode"} {
		for _, c := range picked.components(kind) {
			role := newRole(profile.RoleName(kind), c, generator, pick.Backend)
			res.Pick.Roles = append(res.Pick.Roles, role)
			res.Pick.TotalGPUs += role.Replicas * role.GPUsPerEngine
		}
	}
	if _, err := res.Encode(); err != nil {
		return nil, fmt.Errorf("captured pick: %w", err)
	}
	return res, nil
}

func newRole(name profile.RoleName, c, generator map[string]any, backend profile.Backend) profile.Role {
	section := string(name)
	if name == profile.RoleWorker {
		section = "agg"
	}
	p := dig(generator, "params", section)
	count := func(key string) int {
		n, _ := p[key].(int)
		return max(n, 1)
	}
	replicas, _ := c["replicas"].(int)
	return profile.Role{
		Name: name, Replicas: replicas, GPUsPerEngine: count("gpus_per_worker"), BatchSize: count("max_batch_size"),
		Parallelism: profile.Parallelism{
			TP: count("tensor_parallel_size"), PP: count("pipeline_parallel_size"), DP: count("data_parallel_size"),
			MoETP: count("moe_tensor_parallel_size"), MoEEP: count("moe_expert_parallel_size"),
		},
		Args: generatorArgs(name, argsOf(c), backend),
	}
}

// generatorArgs takes back what Dynamo does to the generator's flags.
func generatorArgs(name profile.RoleName, args []string, backend profile.Backend) []string {
	if i := slices.IndexFunc(args, func(a string) bool { return a == "--model" || a == "--model-path" }); i >= 0 {
		args = args[:i]
	}
	args = without(args, "--disaggregation-mode")
	args = without(args, "--kv-transfer-config")
	if backend == profile.BackendVLLM {
		args = append(args, "--max-model-len", "9999") // the generator writes it, Dynamo drops it
	}
	if backend == profile.BackendSGLang && name == profile.RolePrefill {
		args = without(args, "--cuda-graph-bs")
		args = append(without(args, "--max-running-requests"), "--max-running-requests", "1")
	}
	return args
}

// without removes a flag and its value.
func without(args []string, flag string) []string {
	i := slices.Index(args, flag)
	if i < 0 {
		return args
	}
	return slices.Delete(slices.Clone(args), i, i+2)
}

func argsOf(component map[string]any) []string {
	list, _ := mainOf(component)["args"].([]any)
	var args []string
	for _, a := range list {
		args = append(args, fmt.Sprint(a))
	}
	return args
}

// setArgs replaces the arguments of a component.
func setArgs(component map[string]any, args []string) {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a
	}
	mainOf(component)["args"] = list
}

// value is the number that follows a flag, or 1.
func value(args []string, flag string) int {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		if n, err := strconv.Atoi(args[i+1]); err == nil {
			return n
		}
	}
	return 1
}

// backendVersion is that of the performance tables; naive picks have none.
func backendVersion(caseDir string) string {
	data, err := os.ReadFile(filepath.Join(caseDir, "capture", "best_config.csv"))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(data), "\n")
	if len(lines) < 2 {
		return ""
	}
	header, row := strings.Split(lines[0], ","), strings.Split(lines[1], ",")
	for _, name := range []string{"version", "(d)version"} {
		if i := slices.Index(header, name); i >= 0 && i < len(row) {
			return row[i]
		}
	}
	return ""
}

// dgdrName is the metadata.name of the goldens' DGDRs.
var dgdrName = regexp.MustCompile(`(?m)^  name: .*$`)

// Request is the DGDR of a case as we take it: with a name that is short enough
// (Dynamo answered the goldens under a random short one), and with the runtime
// version that an image whose tag is no version needs.
func Request(caseDir string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(caseDir, "dgdr.yaml"))
	if err != nil {
		return nil, err
	}
	text := strings.Replace(string(data), dgdrName.FindString(string(data)), "  name: golden", 1)
	for line := range strings.Lines(text) {
		image, ok := strings.CutPrefix(line, "  image: ")
		if ok && !strings.HasSuffix(strings.TrimSpace(image), ":1.5.1") {
			text = strings.Replace(text, line, line+"  runtimeVersionOverride: 1.5.1\n", 1)
		}
	}
	return []byte(text), nil
}
