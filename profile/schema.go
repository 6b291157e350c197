package profile

import (
	_ "embed" // the schema of a result
	"maps"
	"strings"
)

// Schema is a JSON Schema of draft 7, which editors know best, or a part of one.
type Schema = map[string]any

//go:embed result.schema.json
var resultSchemaJSON string

// ResultSchemaJSON is the published JSON Schema of a result document.
func ResultSchemaJSON() []byte { return []byte(resultSchemaJSON) }

// NewSchema is a whole schema: a part of one with its title.
func NewSchema(title string, part Schema) Schema {
	out := Schema{"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
	maps.Copy(out, part)
	return out
}

// Object is an object of the fields and no other.
func Object(fields Schema, required ...string) Schema {
	out := Schema{"type": "object", "additionalProperties": false, "properties": fields}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// Text is a string with a description; it matches the pattern where that is given.
func Text(description, pattern string) Schema {
	out := Schema{"type": "string", "description": description}
	if pattern != "" {
		out["pattern"] = pattern
	}
	return out
}

// Words is one of the strings.
func Words[T ~string](description string, words ...T) Schema {
	return Schema{"type": "string", "description": description, "enum": words}
}

// List is a list of items.
func List(description string, items Schema) Schema {
	return Schema{"type": "array", "description": description, "items": items}
}

// Bool is true or false.
func Bool(description string) Schema {
	return Schema{"type": "boolean", "description": description}
}

// number is a finite number above zero.
func positiveNumber(description string) Schema {
	return Schema{"type": "number", "description": description, "exclusiveMinimum": 0}
}

func positiveInteger(description string) Schema {
	return Schema{"type": "integer", "description": description, "minimum": 1, "maximum": 1<<31 - 1}
}

func free(description string) Schema {
	return Schema{"type": "object", "description": description}
}

func described(description string, s Schema) Schema {
	s["description"] = description
	return s
}

// HardwareSchema is the schema of hardware.yaml.
func HardwareSchema() Schema {
	spec := hardwareFields()
	spec["capabilities"] = List("What the cluster has beside GPUs", Words("", Grove, LWS, KAI, RDMA, Prometheus, GAIE))
	return NewSchema("Hardware", Object(Schema{
		"apiVersion": Schema{"const": hardwareFileVersion}, "kind": Schema{"const": "Hardware"}, "metadata": free("Ignored"),
		"spec": described("The GPUs of the cluster, for the DGDRs that do not say them", Object(spec)),
	}, "apiVersion", "kind", "spec"))
}

func hardwareFields() Schema {
	return Schema{
		"gpuSku":         Words("Kind of GPU; dynamo-profile-runner hardware finds it", sortedKeys(gpus)...),
		"totalGpus":      positiveInteger("GPU budget of one deployment"),
		"numGpusPerNode": positiveInteger("GPUs of one node"),
		"vramMb":         positiveNumber("Memory of one GPU in MiB"),
		"interconnect":   Text("Between the GPUs of a node: nvlink or pcie. Changes nothing", ""),
		"rdma":           Bool("Nodes reach each other's memory"),
	}
}

// ConfigSchema is the schema of a DynamoCMPConfig, for the Dynamo versions.
func ConfigSchema(versions []string) Schema {
	claim := func(description string, more Schema) Schema {
		fields := Schema{
			"size": quantitySchema("Size of the claim"), "storageClassName": Text("Storage class; the cluster's default without it", subdomain.String()),
			"accessMode": Words("ReadWriteMany by default", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"),
		}
		maps.Copy(fields, more)
		return described(description, Object(fields))
	}
	amounts := Schema{"type": "object", "additionalProperties": quantitySchema("")}
	image := func(description string) Schema { return Text(description, imageReference.String()) }
	download := described("Job that puts the model into the claim", Object(Schema{
		"image": image("Has Python and huggingface_hub; the engine's own by default"), "tokenSecret": Text("Secret with the token under HF_TOKEN", subdomain.String()),
		"resources": described("Of the container", Object(Schema{"limits": amounts, "requests": amounts})),
	}))
	compilation := claim("Claim for kernels that TensorRT-LLM compiles", nil)
	compilation["required"] = []string{"size"}
	spec := Schema{
		"dynamoVersion": Words("Dynamo that deployments are rendered for; that of the DGDR's images by default", versions...),
		"modelCache":    claim("Claim that spec.modelCache of a DGDR names", Schema{"download": download}),
		"benchmark": described("Job that measures the deployment after a sync", Object(Schema{
			"image":     image("Has Python and aiperf"),
			"tolerance": Schema{"type": "number", "minimum": 0, "maximum": 1, "description": "Share by which a latency may be above its target"},
		}, "image")),
		"loraAdapters": List("Adapters of the model; vLLM only", Object(Schema{
			"name": Text("As requests ask for it", modelName.String()), "source": Text("s3://, hf:// or file:///", "^(s3://.|hf://.|file:///)"),
		}, "name", "source")),
		"podMonitors": Bool("A PodMonitor for each deployment"),
		"podDisruptionBudgets": described("A budget for each component but the planner", Object(Schema{
			"maxUnavailable": Schema{"type": []string{"integer", "string"}, "description": "Pods, or a percentage"},
		}, "maxUnavailable")),
		"compilationCache": compilation,
		"imagePullSecrets": List("Secrets by which generated pods pull", Text("", subdomain.String())),
		"registries":       List("Prefixes of image names to replace", Object(Schema{"from": Text("", "."), "to": Text("", ".")}, "from", "to")),
		"queue":            Text("Queue of the KAI scheduler", labelName.String()),
	}
	return NewSchema(configKind, Object(Schema{
		"apiVersion": Schema{"const": hardwareFileVersion}, "kind": Schema{"const": configKind}, "metadata": free("Ignored"),
		"spec": described("What is rendered around the deployments of the directory", Object(spec)),
	}, "apiVersion", "kind", "spec"))
}

func quantitySchema(description string) Schema {
	return Schema{"type": []string{"string", "number"}, "description": strings.TrimSpace(description + " (500Gi)"), "pattern": positiveQuantity.String()}
}
