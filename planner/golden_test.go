package planner_test

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// goldens holds what Dynamo 1.5.1 wrote for many requests.
const goldens = "../../shared/goldens"

// deviation is one way in which the configuration differs from Dynamo's on
// purpose: the field, and the value in the place of Dynamo's.
type deviation struct {
	field string
	why   string
	value func(req *profile.Request, res *profile.Result, theirs any) any
}

func deviations() []deviation {
	return []deviation{
		{"backend", "Dynamo leaves vllm whatever is deployed", func(_ *profile.Request, res *profile.Result, _ any) any {
			return string(res.Pick.Backend)
		}},
		{"max_gpu_budget", "Dynamo leaves 8, below which large engines do not start", func(req *profile.Request, res *profile.Result, theirs any) any {
			if _, set := req.Spec.Features.Planner["max_gpu_budget"]; set {
				return theirs
			}
			floor := 0 // of one engine a role
			for _, role := range res.Pick.Roles {
				floor += role.GPUsPerEngine
			}
			return float64(max(floor, req.Spec.Hardware.TotalGPUs))
		}},
		{"prefill_engine_num_gpu", "an aggregated deployment has no prefill engine", func(_ *profile.Request, res *profile.Result, theirs any) any {
			if res.Pick.Mode == profile.Aggregated {
				return nil
			}
			return theirs
		}},
		{"model_name", "named as served, not searched in the workers' arguments", func(req *profile.Request, _ *profile.Result, _ any) any {
			return req.Spec.Model
		}},
	}
}

// TestGoldens compares with Dynamo's own planner configuration, field by field,
// after the deviations and nothing else.
func TestGoldens(t *testing.T) {
	used := map[string]bool{}
	cases := plannerGoldens(t)
	require.NotEmpty(t, cases)
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			req, res := goldenRequest(t, dir), goldenResult(t, dir)
			built, err := planner.Build(req, res, "golden-dgd")
			require.NoError(t, err)
			require.Len(t, built.ConfigMaps, 1)
			sparse := built.ConfigMaps[0].Data["planner_config.json"]
			require.NotContains(t, sparse, "metric_reporting_prometheus_port", "Dynamo writes 0, which switches metrics off")

			want := goldenConfig(t, dir)
			for _, d := range deviations() {
				if value := d.value(req, res, want[d.field]); value != want[d.field] {
					want[d.field] = value
					used[d.field] = true
				}
			}
			require.Equal(t, want, expand(t, sparse))
			require.Equal(t, req.Spec.Features.Planner["advisory"] == true, built.ScaledRoles == nil)
		})
	}
	for _, d := range deviations() {
		require.True(t, used[d.field], "no golden shows the deviation of %s: %s", d.field, d.why)
	}
}

// plannerGoldens lists the cases whose output has a planner configuration.
func plannerGoldens(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(goldens); err != nil {
		t.Skip("goldens are not beside this repository")
	}
	files, err := filepath.Glob(filepath.Join(goldens, "*", "final_config.yaml"))
	require.NoError(t, err)
	var dirs []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(data), "planner_config.json: ") {
			dirs = append(dirs, filepath.Dir(file))
		}
	}
	return dirs
}

// goldenRequest parses the case's DGDR under a shorter name and with an image
// whose tag is a version: the profiler, unlike the cluster, took anything, and
// neither is in the configuration.
func goldenRequest(t *testing.T, dir string) *profile.Request {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "dgdr.yaml"))
	require.NoError(t, err)
	text := strings.ReplaceAll(string(data), "nvcr.io/nvidia/ai-dynamo/dynamo-frontend:latest", profile.DefaultImage)
	head, spec, found := strings.Cut(text, "\nspec:")
	require.True(t, found)
	text = head[:strings.Index(head, "name:")] + "name: golden\nspec:" + spec
	return parse(t, "dgdr.yaml", []byte(text))
}

// goldenResult rebuilds the pick from what was captured of AIConfigurator.
func goldenResult(t *testing.T, dir string) *profile.Result {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "capture", "best_config.csv"))
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 2 {
		return naiveResult(t, dir)
	}
	row := map[string]string{}
	for i, name := range rows[0] {
		row[name] = rows[1][i]
	}
	number := func(name string) int {
		n, err := strconv.Atoi(row[name])
		require.NoError(t, err, name)
		return n
	}
	role := func(name profile.RoleName, p string) profile.Role {
		par := profile.Parallelism{
			TP: number(p + "tp"), PP: number(p + "pp"), DP: number(p + "dp"),
			MoETP: number(p + "moe_tp"), MoEEP: number(p + "moe_ep"),
		}
		return profile.Role{Name: name, Replicas: 1, GPUsPerEngine: par.TP * par.PP * par.DP, Parallelism: par}
	}
	return &profile.Result{Confidence: profile.Simulated, Pick: profile.Pick{
		Mode: profile.Disaggregated, Backend: profile.Backend(row["(p)backend"]),
		BackendVersion: row["(p)version"], System: row["(p)system"],
		Roles: []profile.Role{role(profile.RolePrefill, "(p)"), role(profile.RoleDecode, "(d)")},
	}}
}

// naiveResult is a pick without tables: one aggregated worker role.
func naiveResult(t *testing.T, dir string) *profile.Result {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "capture", "generator_config.yaml"))
	require.NoError(t, err)
	var generated struct {
		Backend profile.Backend
		Params  struct {
			Agg struct {
				TP   int `yaml:"tensor_parallel_size"`
				GPUs int `yaml:"gpus_per_worker"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(data, &generated))
	agg := generated.Params.Agg
	return &profile.Result{Confidence: profile.Naive, Pick: profile.Pick{
		Mode: profile.Aggregated, Backend: generated.Backend,
		Roles: []profile.Role{{
			Name: profile.RoleWorker, Replicas: 8, GPUsPerEngine: agg.GPUs,
			Parallelism: profile.Parallelism{TP: agg.TP, PP: 1, DP: 1, MoETP: 1, MoEEP: 1},
		}},
	}}
}

// goldenConfig is the configuration that Dynamo wrote.
func goldenConfig(t *testing.T, dir string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "final_config.yaml"))
	require.NoError(t, err)
	var configMap struct{ Data map[string]string }
	require.NoError(t, yaml.NewDecoder(strings.NewReader(string(data))).Decode(&configMap))
	return decode(t, configMap.Data["planner_config.json"])
}

// expand is a sparse configuration as the class reads it: over its defaults,
// with the scaling that it forces for every target but sla.
func expand(t *testing.T, sparse string) map[string]any {
	t.Helper()
	data, err := os.ReadFile("testdata/defaults.json")
	require.NoError(t, err)
	full := decode(t, string(data)) // as forced for the default target
	full["enable_throughput_scaling"], full["enable_load_scaling"] = true, false
	maps.Copy(full, decode(t, sparse))
	if full["optimization_target"] != "sla" {
		full["enable_throughput_scaling"], full["enable_load_scaling"] = false, true
	}
	if model, ok := full["aic_perf_model"].(map[string]any); ok {
		for _, name := range []string{"model_arch", "weight_dtype", "moe_dtype", "activation_dtype", "kv_cache_dtype"} {
			model[name] = nil
		}
	}
	return full
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &m))
	return m
}
