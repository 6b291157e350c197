package planner

import "slices"

// configFields lists PlannerConfig of ai-dynamo 1.5.1 in the order of the class,
// which is the order of the keys that we write. Where the class has no bound but
// the value could not work (a port, a sample count), a bound is set here.
func configFields() []field {
	return slices.Concat(
		topologyFields(), performanceFields(), predictorFields(),
		metricsFields(), scalingFields(), reportFields(),
		[]field{schedulingField(), registrationField()},
	)
}

func topologyFields() []field {
	return []field{
		enumField("pre_deployment_sweeping_mode", "rapid", "rapid", "thorough", "none").orNull(),
		enumField("environment", "kubernetes", "kubernetes", "virtual", "global-planner"),
		optionalText("namespace"),
		enumField("backend", "vllm", "vllm", "sglang", "trtllm", "mocker"),
		enumField("mode", "disagg", "disagg", "prefill", "decode", "agg"),
		enumField("optimization_target", "throughput", "throughput", "latency", "load", "sla"),
		optionalText("log_dir"),
		intField("throughput_adjustment_interval_seconds", 180, nil).alias("throughput_adjustment_interval"),
		intField("max_gpu_budget", 8, from(-1)),
		intField("min_gpu_budget", -1, from(-1)),
		intField("min_endpoint", 1, from(0)),
		optionalInt("prefill_min_endpoint", from(1)),
		optionalInt("decode_min_endpoint", from(1)),
		intField("control_api_port", 9086, between(0, 65535)),
		optionalInt("decode_engine_num_gpu", from(1)),
		optionalInt("prefill_engine_num_gpu", from(1)),
		textField("profile_results_dir", "profiling_results"),
	}
}

func pickField(name string) field {
	return objectField(name,
		intField("tp", 1, from(1)), intField("pp", 1, from(1)), intField("dp", 1, from(1)),
		intField("moe_tp", 1, from(1)), intField("moe_ep", 1, from(1)))
}

func performanceFields() []field {
	identity := []field{
		textField("hf_id", "").must(),
		textField("system", "").must(),
		enumField("backend", "", "vllm", "sglang", "trtllm").must(),
	}
	return []field{
		objectField("aic_interpolation", append(slices.Clone(identity),
			intField("isl", 0, above(0)).must(),
			intField("osl", 0, above(0)).must(),
			intField("sweep_max_context_length", 0, above(0)).must(),
			intField("prefill_interpolation_granularity", 0, above(0)).must(),
			intField("decode_interpolation_granularity", 0, above(0)).must(),
			pickField("prefill_pick").must(),
			pickField("decode_pick").must(),
		)...).orNull(),
		objectField("aic_perf_model", append(slices.Clone(identity),
			optionalText("backend_version"),
			pickField("prefill_pick").orNull(),
			pickField("decode_pick").orNull(),
			optionalText("model_arch"), optionalText("weight_dtype"), optionalText("moe_dtype"),
			optionalText("activation_dtype"), optionalText("kv_cache_dtype"),
		)...).orNull(),
		numberField("ttft_ms", 500, above(0)).alias("ttft"),
		numberField("itl_ms", 50, above(0)).alias("itl"),
	}
}

func predictorFields() []field {
	return []field{
		enumField("load_predictor", "arima", "constant", "arima", "kalman", "prophet"),
		boolField("load_predictor_log1p", false),
		intField("prophet_window_size", 50, from(1)),
		optionalText("load_predictor_warmup_trace"),
		numberField("kalman_q_level", 1, nil),
		numberField("kalman_q_trend", 0.1, nil),
		numberField("kalman_r", 10, nil),
		intField("kalman_min_points", 5, from(1)),
	}
}

// metricsFields have the environment of the planner's pod as their default,
// hence none here.
func metricsFields() []field {
	return []field{
		{name: "metric_pulling_prometheus_endpoint", kind: text},
		optionalText("metric_pulling_prometheus_token"),
		optionalText("metric_pulling_prometheus_token_file"),
		{name: "metric_pulling_prometheus_ssl_verify", kind: boolean},
		{name: "metric_pulling_prometheus_extra_query_params", kind: texts, null: true},
		optionalText("metric_pulling_prometheus_ca_bundle"),
		{name: "metric_pulling_prometheus_request_timeout_seconds", kind: number, bounds: above(0)},
		{name: "metric_reporting_prometheus_port", kind: integer, bounds: between(0, 65535)},
		enumField("throughput_metrics_source", "frontend", "frontend", "router"),
		optionalText("model_name"),
		optionalText("global_planner_namespace"),
	}
}

func scalingFields() []field {
	return []field{
		boolField("enable_throughput_scaling", true),
		boolField("enable_load_scaling", false),
		intField("load_adjustment_interval_seconds", 5, above(0)).alias("load_adjustment_interval"),
		intField("max_num_fpm_samples", 64, from(1)),
		intField("fpm_sample_bucket_size", 16, from(1)),
		intField("load_scaling_down_sensitivity", 80, between(0, 100)),
		optionalInt("prefill_scale_up_queue_tokens", from(0)),
		optionalInt("prefill_scale_down_queue_tokens", from(0)),
		optionalNumber("decode_scale_up_kv_rate", between(0, 100)),
		optionalNumber("decode_scale_down_kv_rate", between(0, 100)),
		intField("load_min_observations", 5, from(1)),
		intField("speculative_nextn", 0, from(0)),
		boolField("advisory", false),
		boolField("enable_power_awareness", false),
		optionalInt("total_gpu_power_limit", from(1)),
	}
}

func reportFields() []field {
	return []field{
		numberField("report_interval_hours", 24, above(0)).orNull(),
		textField("report_output_dir", "./planner_reports"),
		optionalText("report_filename"),
		boolField("report_write_gzip_log", true),
		intField("live_dashboard_port", 8080, between(0, 65535)),
	}
}

// pluginFields are common to plugins inside the planner and outside of it.
func pluginFields(hold string) []field {
	return []field{
		numberField("execution_interval_seconds", 0, from(0)),
		enumField("hold_policy", hold, "HOLD_LAST", "ACCEPT_WHEN_IDLE"),
		listField("needs"),
		listField("requires_produced_fields"),
		numberField("observation_window_seconds", 0, from(0)),
	}
}

func stageField() field {
	return enumField("plugin_type", "", "predict", "propose", "reconcile", "constrain").must()
}

func schedulingField() field {
	external := append([]field{
		textField("plugin_id", "").must(),
		stageField(),
		intField("priority", 0, nil).must(),
		textField("endpoint", "").must(),
		textField("auth_token", ""),
		textField("protocol_version", "1.0"),
		textField("version", "v1"),
	}, pluginFields("HOLD_LAST")...)
	return objectField("scheduling",
		numberField("tick_max_duration_seconds", 30, above(0)),
		listField("external_plugins", external...),
		objectField("gateway",
			boolField("enabled", false),
			textField("listen", "unix:///var/run/dynamo/planner/registry.sock"),
			boolField("allow_insecure", false)),
		field{name: "scale_interval_seconds", kind: number, bounds: above(0)})
}

func registrationField() field {
	inProcess := append([]field{
		textField("module", "").must(),
		textField("class", "").alias("class_").must(),
		textField("plugin_id", "").must(),
		stageField(),
		intField("priority", 0, nil).must(),
	}, pluginFields("ACCEPT_WHEN_IDLE")...)
	inProcess = append(inProcess, field{name: "kwargs", kind: free})
	return objectField("plugin_registration",
		objectField("auth",
			field{name: "trusted_sources", kind: list, enum: []string{"static_secret", "allow_unauthenticated"}},
			field{name: "static_secrets", kind: texts}),
		objectField("transport",
			boolField("allow_insecure_grpc", false),
			numberField("request_timeout_seconds", 5, above(0)),
			intField("keepalive_time_ms", 30000, nil),
			intField("max_message_size_bytes", 10485760, nil)),
		textField("protocol_version_min", "1.0"),
		textField("protocol_version_max", "1.0"),
		numberField("heartbeat_timeout_seconds", 15, nil),
		intField("heartbeat_missed_threshold", 2, nil),
		listField("in_process_plugins", inProcess...),
		objectField("admin", enumField("mode", "allow_all", "allow_all", "k8s_rbac")))
}
