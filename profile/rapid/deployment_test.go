package rapid

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// TestImportReadsRecordedDeployments holds what is read from the flags of every
// deployment that Dynamo's profiler was recorded to write against the configuration
// that its flags were generated from.
func TestImportReadsRecordedDeployments(t *testing.T) {
	finals, err := filepath.Glob("../../../shared/goldens/*/final_config.yaml")
	require.NoError(t, err)
	if len(finals) == 0 {
		t.Skip("no goldens beside the repository")
	}
	compared := 0
	for _, final := range finals {
		dir := filepath.Dir(final)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(final)
			require.NoError(t, err)
			d, err := readDeployment(data)
			if strings.Contains(string(data), "dynamo.mocker") {
				require.ErrorContains(t, err, `runs "mocker", which is no engine`)
				return
			}
			require.NoError(t, err)
			text, err := os.ReadFile(filepath.Join(dir, "capture", "generator_config.yaml"))
			require.NoError(t, err)
			var generator struct {
				Params map[string]map[string]any
			}
			require.NoError(t, yaml.Unmarshal(text, &generator))
			require.NotEmpty(t, d.roles)
			for _, r := range d.roles {
				section := strings.Replace(string(r.name), "worker", "agg", 1)
				count := func(key string) int {
					n, _ := generator.Params[section][key].(int)
					return max(n, 1)
				}
				want := profile.Parallelism{TP: count("tensor_parallel_size"), PP: count("pipeline_parallel_size"), DP: count("data_parallel_size"),
					MoETP: count("moe_tensor_parallel_size"), MoEEP: count("moe_expert_parallel_size")}
				moe := want.MoETP*want.MoEEP > 1
				if want.TP*want.DP == 1 && moe { // the naive one: the attention is split as the experts are
					want.TP = want.MoETP
				}
				got, err := r.role(moe)
				require.NoError(t, err)
				require.Equal(t, want, got.Parallelism)
				require.Equal(t, count("gpus_per_worker"), got.GPUsPerEngine)
				require.NotContains(t, got.Args, "--served-model-name")
				compared++
			}
		})
	}
	require.Greater(t, compared, 40)
}

// aggregated is a deployment as Dynamo writes it, of one engine with these flags.
func aggregated(module string, flags string) string {
	return fmt.Sprintf(`apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {name: x}
spec:
  components:
  - name: Frontend
    type: frontend
  - name: Worker
    type: worker
    replicas: 2
    podTemplate:
      spec:
        containers:
        - name: main
          image: nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.5.1
          command: [python3, -m, dynamo.%s]
          args: [%s]
          resources: {limits: {nvidia.com/gpu: "2"}}
`, module, strings.Join(strings.Fields(flags), ", "))
}

func TestImportRefusesDeployments(t *testing.T) {
	output := func(status, final string) string {
		return fmt.Sprintf("kind: ConfigMap\nmetadata: {name: dgdr-output-app}\ndata:\n  profiler_status: %s\n  profiler_error: no GPU\n%s", status, final)
	}
	for _, c := range []struct{ name, data, want string }{
		{"the output of another request", strings.Replace(output("success", ""), "output-app", "output-other", 1), `ConfigMap dgdr-output-other is the output of request "other", not of "app"`},
		{"a failed profiler", output("failed", ""), "ConfigMap dgdr-output-app: the profiler ended with status failed: no GPU"},
		{"one that runs", output("success", ""), "ConfigMap dgdr-output-app has no final_config.yaml: the profiler did not finish"},
		{"a dry run", output("success", "  final_config.yaml: \"null\\n\"\n"), "final_config.yaml: holds no DynamoGraphDeployment: the profiler picked nothing, or ran dry"},
		{"an old API", strings.Replace(aggregated("vllm", "--tensor-parallel-size '2'"), "v1beta1", "v1alpha1", 1), "final_config.yaml: holds a deployment nvidia.com/v1alpha1; v1beta1 can be imported"},
		{"the mocker", aggregated("mocker", ""), `final_config.yaml: component Worker: runs "mocker", which is no engine`},
		{"no YAML", "\t", "is not YAML: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := New(Options{}).ImportDeployment(t.Context(), inputs(qwen, "h200_sxm"), "", "app", []byte(c.data))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestImportOfADeployment(t *testing.T) {
	read := func(data string) *deployment {
		d, err := readDeployment([]byte(data))
		require.NoError(t, err)
		return d
	}
	flags := "--tensor-parallel-size '1' --max-num-seqs '8' --model /models/q --served-model-name " + qwen
	s := &session{in: inputs(qwen, "h200_sxm"), worker: &worker{}}
	res, err := s.importDeployment(read(aggregated("vllm", flags)))
	require.NoError(t, err)
	require.Equal(t, profile.Pick{
		Mode: profile.Aggregated, Backend: profile.BackendVLLM, System: "h200_sxm", TotalGPUs: 2,
		Roles: []profile.Role{{Name: profile.RoleWorker, Replicas: 2, GPUsPerEngine: 1, BatchSize: 8,
			Parallelism: profile.Parallelism{TP: 1, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}, Args: []string{"--tensor-parallel-size", "1", "--max-num-seqs", "8"}}},
	}, res.Pick)
	require.Equal(t, profile.Provenance{Tool: "dynamo-profiler", ToolVersion: "1.5.1", Source: profile.SourceDGDR}, res.Provenance)
	require.Equal(t, profile.Imported, res.Confidence)
	require.Equal(t, profile.SLAOutcome{}, res.SLA)
	require.Equal(t, []string{"the imported deployment asks for 2 GPUs for each worker engine, whose flags use 1"}, res.Warnings)
	_, err = res.Encode()
	require.NoError(t, err)

	for _, c := range []struct {
		name, flags, want string
		change            func(*profile.Inputs)
	}{
		{"another backend", flags, "its engines are vllm, the request has spec.backend sglang", func(in *profile.Inputs) { in.Backend = profile.BackendSGLang }},
		{"another model", flags, `it serves model "Qwen/Qwen3-0.6B", the request has spec.model other`, func(in *profile.Inputs) { in.Model = "other" }},
		{"roles are needed", flags, "it runs aggregated engines, the request needs prefill and decode", func(in *profile.Inputs) { in.Disaggregated = true }},
		{"an absurd size", "--tensor-parallel-size '4294967296' --data-parallel-size '4294967296' --enable-expert-parallel --served-model-name " + qwen,
			`role worker: --tensor-parallel-size is "4294967296", want 1 to 4096`, nil},
		{"no parallelism", "--served-model-name " + qwen, "role worker: its engine has no --tensor-parallel-size, from which the GPUs follow", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &session{in: inputs(qwen, "h200_sxm"), worker: &worker{}}
			if c.change != nil {
				c.change(&s.in)
			}
			_, err := s.importDeployment(read(aggregated("vllm", c.flags)))
			require.EqualError(t, err, c.want)
		})
	}
}

// The planner's curves come along where they are enough for it.
func TestImportOfCurves(t *testing.T) {
	final, err := os.ReadFile("../../../shared/data/thorough/final_config.yaml")
	if err != nil {
		t.Skip("no recorded data beside the repository")
	}
	d, err := readDeployment(final)
	require.NoError(t, err)
	_, err = readCurves(d.curves)
	require.EqualError(t, err, "checking prefill curve: has 4 points, the planner uses 5 to 64")
	curves, err := readCurves(map[string]string{
		"prefill_raw_data.json": `{"prefill_isl": [1,2,3,4,5], "prefill_ttft": [1,2,3,4,5], "prefill_thpt_per_gpu": [1,1,1,1,1]}`,
		"decode_raw_data.json": `{"x_kv_usage": [0.1,0.2,0.3,0.1,0.2], "y_context_length": [100,100,100,400,400], "z_itl": [1,2,3,1.5,2.5],
			"z_thpt_per_gpu": [1,1,1,1,1], "max_kv_tokens": 10000}`,
	})
	require.NoError(t, err)
	require.Equal(t, []float64{1, 2, 3, 4, 5}, curves.Prefill.ISL)
	require.Equal(t, 10000, curves.Decode.MaxKVTokens)
	curves, err = readCurves(nil)
	require.NoError(t, err)
	require.Nil(t, curves)
}
