package planner_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// badConfig is a features.planner that is refused, and every line of the answer
// without its common prefix. ours marks what Dynamo's class lets through.
type badConfig struct {
	name, yaml string
	ours       bool
	want       string
}

func badConfigs() []badConfig {
	return []badConfig{
		{"a field that does not exist", "optimisation_target: sla", true,
			"14: optimisation_target: unknown field; did you mean optimization_target"},
		{"a field like no other", "zzz: 1", true, "14: zzz: unknown field"},
		{"a field of 1.6", "ais_perf_model: {}", true, "14: ais_perf_model: unknown field; did you mean aic_perf_model"},
		{"a name given twice", "ttft: 300\nttft_ms: 400", true, "15: ttft_ms: is another name for ttft, which is set too; keep one"},
		{"a number as a string", "max_gpu_budget: \"8\"", true, "14: max_gpu_budget: must be a number, not the string \"8\""},
		{"a string as a number", "model_name: 7", false, "14: model_name: must be a string, not 7"},
		{"a boolean as a number", "advisory: 1", true, "14: advisory: must be true or false, not 1"},
		{"a list as a number", "min_endpoint: [1]", false, "14: min_endpoint: must be a number, not a list"},
		{"half an endpoint", "min_endpoint: 1.5", false, "14: min_endpoint: must be a whole number, not 1.5"},
		{"null where nothing is null", "mode: null", false, "14: mode: must not be null"},
		{"an unknown mode", "mode: disag", false, "14: mode: must be one of disagg, prefill, decode, agg, not \"disag\"; did you mean disagg"},
		{"an unknown target", "optimization_target: cost", false,
			"14: optimization_target: must be one of throughput, latency, load, sla, not \"cost\""},
		{"an unknown predictor", "load_predictor: lstm", true,
			"14: load_predictor: must be one of constant, arima, kalman, prophet, not \"lstm\""},
		{"no TTFT", "ttft_ms: 0", false, "14: ttft_ms: must be greater than 0, not 0"},
		{"a negative ITL", "itl: -1", true, "14: itl: must be greater than 0, not -1"},
		{"a negative endpoint", "min_endpoint: -1", false, "14: min_endpoint: must be at least 0, not -1"},
		{"a role's floor of zero", "decode_min_endpoint: 0", false, "14: decode_min_endpoint: must be at least 1, not 0"},
		{"a port out of range", "control_api_port: 70000", false, "14: control_api_port: must be between 0 and 65535, not 70000"},
		{"a rate over a hundred", "decode_scale_up_kv_rate: 101", false,
			"14: decode_scale_up_kv_rate: must be between 0 and 100, not 101"},
		{"a floor of a role that is not managed", "mode: prefill\ndecode_min_endpoint: 1", false,
			"15: decode_min_endpoint: has no role in mode prefill"},
		{"floors of roles in agg", "mode: agg\nprefill_min_endpoint: 1\ndecode_min_endpoint: 1", false,
			"15: prefill_min_endpoint: has no role in mode agg\n16: decode_min_endpoint: has no role in mode agg"},
		{"a floor above the ceiling", "min_gpu_budget: 9\nmax_gpu_budget: 8", true,
			"14: min_gpu_budget: must be at most max_gpu_budget, which is 8"},
		{"more observations than are kept", "max_num_fpm_samples: 16\nload_min_observations: 17", true,
			"15: load_min_observations: must be at most max_num_fpm_samples, which is 16: the planner keeps no more"},
		{"no square", "fpm_sample_bucket_size: 15", false, "14: fpm_sample_bucket_size: must be a perfect square, not 15"},
		{"no report interval", "report_interval_hours: 0", false, "14: report_interval_hours: must be greater than 0, not 0"},
		{"power without a limit", "enable_power_awareness: true", false,
			"14: enable_power_awareness: needs total_gpu_power_limit, in watts"},
		{"power outside Kubernetes and aggregated", "enable_power_awareness: true\ntotal_gpu_power_limit: 9000\nenvironment: virtual\nmode: agg", false,
			"14: enable_power_awareness: needs environment kubernetes, not virtual\n14: enable_power_awareness: is not supported in mode agg"},
		{"a global planner nowhere", "environment: global-planner", false,
			"13: global_planner_namespace: is required with environment global-planner"},
		{"load without thresholds", "optimization_target: load", false,
			"13: decode_scale_down_kv_rate: is required with optimization_target load in mode disagg\n" +
				"13: decode_scale_up_kv_rate: is required with optimization_target load in mode disagg\n" +
				"13: prefill_scale_down_queue_tokens: is required with optimization_target load in mode disagg\n" +
				"13: prefill_scale_up_queue_tokens: is required with optimization_target load in mode disagg"},
		{"load with thresholds upside down", "optimization_target: load\nmode: decode\ndecode_scale_up_kv_rate: 40\ndecode_scale_down_kv_rate: 60", false,
			"16: decode_scale_up_kv_rate: must be greater than decode_scale_down_kv_rate, which is 60"},
		{"sla without any scaling", "optimization_target: sla\nenable_throughput_scaling: false", false,
			"14: optimization_target: sla needs enable_throughput_scaling or enable_load_scaling"},
		{"the fast loop slower than the slow one", "optimization_target: sla\nenable_load_scaling: true\nload_adjustment_interval: 60\nthroughput_adjustment_interval: 60", false,
			"16: load_adjustment_interval: must be shorter than throughput_adjustment_interval_seconds, which is 60"},
		{"no throughput interval", "optimization_target: sla\nthroughput_adjustment_interval_seconds: 0", false,
			"15: throughput_adjustment_interval_seconds: must be greater than 0"},
		{"a tick that does not fit", "scheduling: {scale_interval_seconds: 3}", false,
			"14: scheduling: scale_interval_seconds must evenly divide load_adjustment_interval_seconds, and throughput_adjustment_interval_seconds with throughput scaling"},
		{"nested mistakes", "scheduling:\n  gatway: {}\n  external_plugins:\n  - {plugin_id: a, plugin_type: guess, priority: 1, endpoint: e}\n  - {plugin_id: b, plugin_type: predict}", false,
			"15: scheduling.gatway: unknown field; did you mean gateway\n" +
				"17: scheduling.external_plugins[0].plugin_type: must be one of predict, propose, reconcile, constrain, not \"guess\"\n" +
				"18: scheduling.external_plugins[1].endpoint: is required\n18: scheduling.external_plugins[1].priority: is required"},
		{"a trusted source that is none", "plugin_registration: {auth: {trusted_sources: [spiffe]}}", false,
			"14: plugin_registration.auth.trusted_sources[0]: must be one of static_secret, allow_unauthenticated, not \"spiffe\""},
		{"a performance model without its pick", "aic_perf_model: {hf_id: m, system: s, backend: vllm, decode_pick: {tp: 2}}", false,
			"14: aic_perf_model: needs prefill_pick in mode disagg"},
		{"an interpolation with half its fields", "aic_interpolation: {hf_id: m, system: s, backend: vllm, isl: 1, osl: 1, sweep_max_context_length: 0, prefill_pick: {}, decode_pick: {}}", false,
			"14: aic_interpolation.decode_interpolation_granularity: is required\n" +
				"14: aic_interpolation.prefill_interpolation_granularity: is required\n" +
				"14: aic_interpolation.sweep_max_context_length: must be greater than 0, not 0"},
		{"a long and unprintable name", "\"a\\n" + strings.Repeat("x", 500) + "\": " + strings.Repeat("y", 5000), true,
			"13: \"a\\n" + strings.Repeat("x", 62) + "\"...: unknown field"},
		{"a long value", "mode: " + strings.Repeat("y", 5000), false,
			"14: mode: must be one of disagg, prefill, decode, agg, not \"" + strings.Repeat("y", 64) + "\"..."},
		{"many at once, in the order of the lines", "mode: x\nttft: 0\nbakend: vllm", false,
			"14: mode: must be one of disagg, prefill, decode, agg, not \"x\"\n" +
				"15: ttft: must be greater than 0, not 0\n16: bakend: unknown field; did you mean backend"},
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, c := range badConfigs() {
		t.Run(c.name, func(t *testing.T) {
			got := planner.Check(request(t, c.yaml)).Error()
			got = strings.ReplaceAll(got, "dgdr.yaml:", "")
			got = strings.ReplaceAll(got, "spec.features.planner.", "")
			require.Equal(t, c.want, got)
		})
	}
}

// goodConfigs are accepted by Dynamo's class and by Check.
func goodConfigs() []string {
	return []string{
		"{}",
		"optimization_target: latency\nmode: agg",
		"optimization_target: sla\nmode: agg\nmin_endpoint: 0",
		"optimization_target: load\nprefill_scale_up_queue_tokens: 8000\nprefill_scale_down_queue_tokens: 0\ndecode_scale_up_kv_rate: 80.5\ndecode_scale_down_kv_rate: 20",
		"optimization_target: load\nmode: agg\ndecode_scale_up_kv_rate: 80\ndecode_scale_down_kv_rate: 20",
		"ttft: 300\nitl: 20\nthroughput_adjustment_interval: 60\nload_adjustment_interval: 10",
		"pre_deployment_sweeping_mode: null\nreport_interval_hours: null\nscheduling: {scale_interval_seconds: 0.5}",
		"enable_power_awareness: true\ntotal_gpu_power_limit: 9000\nmode: decode",
		"environment: global-planner\nglobal_planner_namespace: planners\nthroughput_metrics_source: router",
		"load_predictor: kalman\nkalman_r: 0.5\nload_predictor_log1p: true\nfpm_sample_bucket_size: 25",
		"min_gpu_budget: 8\nmax_gpu_budget: 8\nadvisory: true\nspeculative_nextn: 3",
		"scheduling:\n  gateway: {enabled: true, listen: \"unix:/run/p.sock\"}\n  external_plugins:\n  - {plugin_id: cap, plugin_type: constrain, priority: 1, endpoint: \"grpc://cap:9000\", hold_policy: ACCEPT_WHEN_IDLE}",
		"plugin_registration:\n  admin: {mode: k8s_rbac}\n  transport: {keepalive_time_ms: 1000}\n  in_process_plugins:\n  - {module: m, class: C, plugin_id: p, plugin_type: propose, priority: 5, kwargs: {a: [1]}}",
	}
}

func TestCheckAccepts(t *testing.T) {
	for _, yaml := range goodConfigs() {
		require.Empty(t, planner.Check(request(t, yaml)), yaml)
	}
}

func TestCheckThorough(t *testing.T) {
	req := request(t, "mode: agg")
	req.Spec.SearchStrategy = profile.StrategyThorough
	require.EqualError(t, planner.Check(req), "dgdr.yaml:14: spec.features.planner.mode: "+
		"agg contradicts searchStrategy thorough, which measures prefill and decode engines; leave it out")
}

func TestWarnings(t *testing.T) {
	got := planner.Warnings(request(t, `ttft: 300
enable_throughput_scaling: true
enable_load_scaling: false
decode_scale_up_kv_rate: 80
max_gpu_budget: 64`)).Error()
	require.Equal(t, strings.TrimPrefix(`
dgdr.yaml:14: spec.features.planner.ttft: is ignored with optimization_target throughput; set optimization_target: sla to use it
dgdr.yaml:15: spec.features.planner.enable_throughput_scaling: is switched off with optimization_target throughput; set optimization_target: sla to use it
dgdr.yaml:16: spec.features.planner.enable_load_scaling: is switched on with optimization_target throughput; leave it out
dgdr.yaml:17: spec.features.planner.decode_scale_up_kv_rate: is ignored with optimization_target throughput; set optimization_target: load to use it
dgdr.yaml:18: spec.features.planner.max_gpu_budget: is 64, above hardware.totalGpus, which is 8`, "\n"), got)

	got = planner.Warnings(request(t, "optimization_target: sla\npre_deployment_sweeping_mode: none")).Error()
	require.Contains(t, got, "dgdr.yaml:15: spec.features.planner.pre_deployment_sweeping_mode: gives throughput scaling no first samples; set it to rapid")
}
