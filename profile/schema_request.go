package profile

// RequestSchema is the schema of a DGDR, v1beta1 and v1alpha1, with that of
// features.planner.
func RequestSchema(planner Schema) Schema {
	out := NewSchema(requestKind, Object(Schema{
		"apiVersion": Words("v1beta1; v1alpha1 is read too", "nvidia.com/v1beta1", "nvidia.com/v1alpha1"),
		"kind":       Schema{"const": requestKind},
		"metadata":   metadataSchema(),
		"spec":       Schema{"type": "object"},
		"status":     free("Of the cluster; ignored"),
	}, "apiVersion", "kind", "metadata", "spec"))
	out["if"] = Schema{"properties": Schema{"apiVersion": Schema{"const": "nvidia.com/v1alpha1"}}}
	out["then"] = Schema{"properties": Schema{"spec": alphaSchema(planner)}}
	out["else"] = Schema{"properties": Schema{"spec": specSchema(planner)}}
	return out
}

func metadataSchema() Schema {
	texts := Schema{"type": "object", "additionalProperties": Schema{"type": "string"}}
	labels := Schema{"type": "object", "additionalProperties": Schema{"type": "string", "maxLength": maxLabel, "pattern": "^$|" + labelName.String()}}
	name := Text("Name of the request; the deployment's is this with -dgd", subdomain.String())
	name["maxLength"] = maxLabel
	fields := Schema{"name": name, "namespace": Text("", dnsLabel.String()), "labels": labels, "annotations": texts}
	for _, owned := range ownedMetadata() {
		fields[owned] = Schema{"description": "Of the API server; ignored"}
	}
	return Object(fields, "name")
}

// exclusive refuses two fields together.
func exclusive(a, b string) Schema { return Schema{"not": Schema{"required": []string{a, b}}} }

func specSchema(planner Schema) Schema {
	toggle := func(description string) Schema {
		return described(description, Object(Schema{"enabled": Bool("")}))
	}
	workload := Object(Schema{
		"isl": positiveInteger("Tokens of a prompt, 4000 by default"), "osl": positiveInteger("Tokens of an answer, 1000 by default"),
		"concurrency": positiveNumber("Requests in flight"), "requestRate": positiveNumber("Requests per second"),
	})
	workload["allOf"] = []Schema{exclusive("concurrency", "requestRate")}
	sla := Object(Schema{
		"ttft": positiveNumber("Time to first token in ms, 2000 by default"), "itl": positiveNumber("Time between tokens in ms, 30 by default"),
		"e2eLatency":       positiveNumber("Latency of a whole request in ms, instead of ttft and itl"),
		"optimizationType": Words("No effect in Dynamo 1.5", "latency", "throughput"),
	})
	sla["allOf"] = []Schema{exclusive("e2eLatency", "ttft"), exclusive("e2eLatency", "itl")}
	spec := Object(Schema{
		"model":                  modelSchema(),
		"backend":                backendSchema(),
		"image":                  Text("Profiler image, of which the engines' are derived", imageReference.String()),
		"runtimeVersionOverride": versionSchema(),
		"searchStrategy":         Words("rapid simulates, thorough measures on a cluster", StrategyRapid, StrategyThorough),
		"autoApply":              Bool("true by default; an annotation says false"),
		"modelCache":             cacheSchema("pvcModelPath"),
		"hardware":               described("GPUs, as far as hardware.yaml does not say them", Object(hardwareFields())),
		"workload":               described("The traffic to size for", workload),
		"sla":                    described("The latency wanted", sla),
		"overrides": described("Partial objects merged over what is generated", Object(Schema{
			"profilingJob": jobSchema(), "dgd": overrideSchema(),
		})),
		"features": described("Parts of Dynamo to switch on", Object(Schema{
			"planner": plannerSchema(planner), "mocker": toggle("Simulated engines, without GPUs"), "kvRouter": toggle("Routing by KV cache"),
		})),
	}, "model")
	spec["description"] = "The deployment wanted"
	spec["allOf"] = []Schema{{
		"if":   Schema{"properties": Schema{"searchStrategy": Schema{"const": "thorough"}}, "required": []string{"searchStrategy"}},
		"then": Schema{"properties": Schema{"backend": Schema{"not": Schema{"const": "auto"}}}, "required": []string{"backend"}},
	}, {
		"if":   Schema{"required": []string{"image"}, "not": Schema{"required": []string{"runtimeVersionOverride"}}},
		"then": Schema{"properties": Schema{"image": Schema{"pattern": `:[vV]?[0-9]+\.[0-9]+\.[0-9]+([-+][^:/@]*)?$`}}},
	}, {
		"properties": Schema{"image": Schema{"not": Schema{"pattern": "@"}}},
	}}
	return spec
}

func modelSchema() Schema {
	s := Text("Hugging Face id or a plain name", modelName.String())
	s["not"] = Schema{"pattern": `(^|/)\.\.(/|$)`}
	return s
}

func backendSchema() Schema {
	return Words("Engine; auto, the default, leaves it to the profiler", BackendAuto, BackendSGLang, BackendTRTLLM, BackendVLLM)
}

func versionSchema() Schema {
	return Text("Dynamo version of images whose tag is no version", runtimeVersion.String())
}

func cacheSchema(modelPath string) Schema {
	below := Text("Directory of the model in the claim", `.`)
	below["not"] = Schema{"pattern": `(^|/)\.\.(/|$)`}
	return described("Claim that holds the model", Object(Schema{
		"pvcName":      Text("Name of the claim", subdomain.String()),
		modelPath:      below,
		"pvcMountPath": Text("/opt/model-cache by default", `^/[^:]*[^/:][^:]*$`),
	}, "pvcName", modelPath))
}

// jobSchema is as much of a JobSpec as the CRD demands.
func jobSchema() Schema {
	pod := Schema{"type": "object", "required": []string{"containers"}, "properties": Schema{
		"containers": Schema{"type": "array"}, "tolerations": Schema{"type": "array"},
	}}
	return Schema{"type": "object", "description": "JobSpec of the profiling Job", "required": []string{"template"}, "properties": Schema{
		"template": Schema{"type": "object", "required": []string{"spec"}, "properties": Schema{"spec": pod}},
	}}
}

func overrideSchema() Schema {
	return Schema{"type": "object", "description": "Partial DynamoGraphDeployment", "properties": Schema{
		"apiVersion": Words("", "nvidia.com/v1beta1", "nvidia.com/v1alpha1"),
		"kind":       Schema{"const": "DynamoGraphDeployment"},
		"status":     Schema{"not": Schema{}},
	}, "dependencies": Schema{"apiVersion": []string{"kind"}, "kind": []string{"apiVersion"}}}
}

// plannerSchema adds the field that is not of PlannerConfig.
func plannerSchema(planner Schema) Schema {
	fields := Schema{"enabled": Bool("false is off; Dynamo ignores it and switches the planner on")}
	if of, ok := planner["properties"].(Schema); ok {
		for name, s := range of {
			fields[name] = s
		}
	}
	s := described("PlannerConfig; its presence switches the planner on", Object(fields))
	s["type"] = []string{"object", "null"}
	return s
}

// alphaSchema is the spec of v1alpha1. What v1beta1 has no place for is open, as it
// is dropped.
func alphaSchema(planner Schema) Schema {
	config := Schema{"type": "object", "properties": Schema{
		"sla": Schema{"type": "object", "properties": Schema{
			"ttft": positiveNumber("Time to first token in ms"), "itl": positiveNumber("Time between tokens in ms"),
			"isl": positiveInteger("Tokens of a prompt"), "osl": positiveInteger("Tokens of an answer"),
			"optimizationType": Words("No effect in Dynamo 1.5", "latency", "throughput"),
		}},
		"planner": plannerSchema(planner),
	}}
	return Object(Schema{
		"model": modelSchema(), "backend": backendSchema(), "runtimeVersionOverride": versionSchema(),
		"autoApply": Bool("false by default"), "useMocker": Bool(""), "enableGpuDiscovery": Bool("Dropped"),
		"profilingConfig": Object(Schema{
			"profilerImage": Text("", imageReference.String()), "config": config, "configMapRef": Schema{}, "outputPVC": Schema{},
			"resources": Schema{"type": "object"}, "tolerations": Schema{"type": "array"}, "nodeSelector": Schema{"type": "object"},
		}),
		"deploymentOverrides": Object(Schema{
			"name": Schema{}, "namespace": Schema{}, "labels": Schema{}, "annotations": Schema{}, "workersImage": Text("", imageReference.String()),
		}),
	}, "model", "backend", "profilingConfig")
}
