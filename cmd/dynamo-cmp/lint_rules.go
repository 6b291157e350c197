package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// lintRule is one way to be wrong. Rules with says or fields catch what the parsers
// report, the first that does; the others are looked for by name.
type lintRule struct {
	id       string
	severity severity
	about    string // what holds of a file without this mistake
	remedy   string
	says     string   // regular expression over the message
	fields   []string // the field, or a parent of it
}

// lintRules is the one table behind lint, its SARIF and docs/lint.md.
func lintRules() []lintRule {
	return slices.Concat(formRules(), fieldRules(), adviceRules(), trapRules(), lockRules())
}

// formRules are about YAML and the form of any file.
func formRules() []lintRule {
	return []lintRule{
		{id: "merge-conflict", severity: severityError, about: "A file holds no markers of a Git merge conflict",
			remedy: "take either side, then run dynamo-profile-runner run", says: `markers of a Git merge conflict`},
		{id: "duplicate-key", severity: severityError, about: "A key is given once",
			remedy: "delete one of the two", says: `is given twice`},
		{id: "yaml", severity: severityError, about: "A file is plain YAML of a reasonable size",
			remedy: "correct the YAML at this line",
			says:   `^not valid YAML|^is binary|^is not UTF-8|bytes, more than|^is \d+ bytes|alias|^is nested|merge key|values allowed|keys are strings|^tag .* is not known|^did not find|^mapping values|^found |^could not find|YAML document|^is empty$`},
		{id: "unknown-field", severity: severityError, about: "Fields are those that the kind has",
			remedy: "correct or delete the field; dynamo-cmp schema prints what there is", says: `^unknown field`},
		{id: "nested-request", severity: severityError, about: "A DGDR is a document of its own",
			remedy: "take it out of the List", says: `inside a List`},
		{id: "duplicate-name", severity: severityError, about: "DGDRs of a directory have different names",
			remedy: "rename one", says: `already the name of the DGDR|is locked in line`},
		{id: "name-length", severity: severityError, about: "Deployment and component names have 45 characters together",
			remedy: "shorten overrides.dgd.metadata.name", says: `characters together`},
		{id: "lock-select", severity: severityError, about: "A lock entry selects a configuration that its result has",
			remedy: "take a number of the table that dynamo-cmp explain DIR prints", says: `the result ranks|does not fit the result|is the rank of a configuration`},
		{id: "hardware-missing", severity: severityError, about: "GPU, GPUs per node and the GPU budget are known",
			remedy: "write hardware.yaml at the root of the repository, or complete spec.hardware", says: `missing, and`, fields: []string{"spec.hardware"}},
		{id: "not-an-object", severity: severityError, about: "A document of a rendered directory is a Kubernetes object",
			remedy: "complete apiVersion and kind, or move the file", says: `every document of the directory`},
	}
}

// fieldRules are about the values of fields.
func fieldRules() []lintRule {
	e := severityError
	return []lintRule{
		{id: "config", severity: e, about: "A DynamoCMPConfig is valid",
			remedy: "correct the config; docs/workload.md has its fields",
			fields: []string{"spec.dynamoVersion", "spec.modelCache.size", "spec.modelCache.storageClassName", "spec.modelCache.accessMode",
				"spec.modelCache.download", "spec.benchmark", "spec.loraAdapters", "spec.podMonitors", "spec.podDisruptionBudgets",
				"spec.compilationCache", "spec.imagePullSecrets", "spec.registries", "spec.queue"}},
		{id: "profiling-job", severity: e, about: "overrides.profilingJob is what the CRD takes",
			remedy: "write template.spec.containers: []", fields: []string{"spec.overrides.profilingJob"}},
		{id: "dgd-override", severity: e, about: "overrides.dgd is a partial DynamoGraphDeployment that merges",
			remedy: "correct the override; docs/kustomize.md has what merges how", fields: []string{"spec.overrides.dgd"}},
		{id: "planner", severity: e, about: "features.planner is a PlannerConfig that the planner starts with",
			remedy: "correct the setting", fields: []string{"spec.features.planner"}},
		{id: "model-cache", severity: e, about: "A model cache names a claim, the model's directory in it, and where it is mounted",
			remedy: "correct the path or the name; the claim's layout is in docs/workload.md", fields: []string{"spec.modelCache"}},
		{id: "required", severity: e, about: "Fields without a default are given",
			remedy: "set the field", says: `^is required|^is missing`},
		{id: "api-version", severity: e, about: "A file is of a version that is read",
			remedy: "correct apiVersion and kind", fields: []string{"apiVersion", "kind"}},
		{id: "enum", severity: e, about: "A value is one of those that are known",
			remedy: "take one of the values that the message lists", says: `^must be one of|is none of|want one of`},
		{id: "type", severity: e, about: "A value has the type of its field",
			remedy: "write a value of that type; quote what is a string", says: `^must be (a|an) (string|object|list|number|mapping|finite|whole)|^must be true or false`},
		{id: "name", severity: e, about: "Names, labels and annotations are valid in Kubernetes",
			remedy: "correct the name", fields: []string{"metadata"}},
		{id: "model", severity: e, about: "A model is a Hugging Face id or a plain name",
			remedy: "write org/name", fields: []string{"spec.model"}},
		{id: "gpu-sku", severity: e, about: "A GPU is one that Dynamo or AIConfigurator knows",
			remedy: "take one of the names that the message lists; dynamo-profile-runner hardware finds it", fields: []string{"spec.hardware.gpuSku", "spec.gpuSku"}},
		{id: "hardware", severity: e, about: "Counts of GPUs and their memory are positive and agree",
			remedy: "correct the number", fields: []string{"spec.hardware", "spec.totalGpus", "spec.numGpusPerNode", "spec.vramMb", "spec.rdma", "spec.capabilities"}},
		{id: "workload", severity: e, about: "A workload has positive lengths and one of concurrency and requestRate",
			remedy: "correct the number, or keep one of the two", fields: []string{"spec.workload"}},
		{id: "sla", severity: e, about: "Latencies are positive; e2eLatency stands alone",
			remedy: "correct the number, or keep either e2eLatency or ttft and itl", fields: []string{"spec.sla"}},
		{id: "image", severity: e, about: "The image of a DGDR has a version tag, or runtimeVersionOverride says the version",
			remedy: "use a version tag X.Y.Z, or set spec.runtimeVersionOverride", fields: []string{"spec.image", "spec.runtimeVersionOverride"}},
		{id: "thorough-auto", severity: e, about: "A thorough search names its backend",
			remedy: "set spec.backend to vllm, sglang or trtllm", says: `thorough needs one of`},
		{id: "features", severity: e, about: "Features are those of the Dynamo version, and agree",
			remedy: "leave the feature out, or take the version that the message names", fields: []string{"spec.features"}},
		{id: "request", severity: e, about: "A DGDR is valid", remedy: "correct the DGDR"},
		{id: "hardware-file", severity: e, about: "hardware.yaml is valid", remedy: "write it anew: dynamo-profile-runner hardware -o hardware.yaml"},
		{id: "policy", severity: e, about: "A policy file is valid", remedy: "correct the policy; dynamo-cmp verify --help has its fields"},
		{id: "lock", severity: e, about: "dynamo.lock is valid", remedy: "delete the entry, then run dynamo-profile-runner run"},
		{id: "kustomization", severity: e, about: "A kustomization builds from what the repository holds", remedy: "correct the kustomization; docs/kustomize.md has what it may do"},
		{id: "render", severity: e, about: "A DGDR renders with its locked result", remedy: "correct the field; to see the whole: dynamo-cmp generate"},
	}
}

// adviceRules catch what the parsers warn of.
func adviceRules() []lintRule {
	w := severityWarning
	return []lintRule{
		{id: "planner-ignores-sla", severity: w, about: "A planner scales by the SLA of its DGDR",
			remedy: "set features.planner.optimization_target: sla, or take spec.sla for the pick alone", says: `shapes the pick alone`},
		{id: "planner-ignores-load", severity: w, about: "A workload's rate sizes the deployment",
			remedy: "delete concurrency and requestRate, or the planner", says: `does not size a deployment`},
		{id: "planner-off", severity: w, about: "A planner that is switched off is not mentioned",
			remedy: "delete features.planner, which Dynamo would switch on", says: `planner is off|is null, which is off`},
		{id: "planner-setting", severity: w, about: "A planner's settings have an effect",
			remedy: "do what the message says, or delete the setting", fields: []string{"spec.features.planner"}},
		{id: "sla-half", severity: w, about: "ttft and itl are given together",
			remedy: "set the other too", says: `^is set without`},
		{id: "optimization-type", severity: w, about: "sla.optimizationType is left out: Dynamo 1.5 ignores it",
			remedy: "delete it", fields: []string{"spec.sla.optimizationType"}},
		{id: "name-cut", severity: w, about: "A DGDR's name leaves room for what Dynamo makes of it",
			remedy: "shorten metadata.name, or set overrides.dgd.metadata.name", says: `too long for the names`},
		{id: "gpu-unknown-to-dynamo", severity: w, about: "Dynamo's operator knows the GPU too",
			remedy: "keep the DGDR away from a cluster, or take the spelling of the message", says: `known to AIConfigurator only`},
		{id: "mocker-model-cache", severity: w, about: "A mocker has no model cache",
			remedy: "delete spec.modelCache", says: `ignored by the mocker`},
		{id: "dropped-field", severity: w, about: "A v1alpha1 DGDR says nothing that v1beta1 has no place for",
			remedy: "write the DGDR in nvidia.com/v1beta1", says: `^is dropped`},
		{id: "yaml-boolean", severity: w, about: "Words that YAML 1.1 takes for booleans are quoted",
			remedy: "quote it, or write true or false", says: `kubectl reads a boolean`},
		{id: "status", severity: w, about: "A file in Git has no status", remedy: "delete it", fields: []string{"status"}},
		{id: "vram-unit", severity: w, about: "vramMb is in MiB",
			remedy: "multiply by 1024", says: `less than one GiB`},
		{id: "advice", severity: w, about: "A DGDR means what it says", remedy: "do what the message says"},
	}
}

// ruleOf is the rule that a problem breaks, in the file's own one where none says more.
func ruleOf(p profile.Problem, s severity, otherwise string) lintRule {
	for _, r := range lintRules() {
		if r.severity == s && r.catches(p) {
			return r
		}
	}
	return ruleNamed(otherwise)
}

func (r lintRule) catches(p profile.Problem) bool {
	if r.says == "" && r.fields == nil {
		return false
	}
	in := r.fields == nil || slices.ContainsFunc(r.fields, func(field string) bool {
		rest, ok := strings.CutPrefix(p.Path, field)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
	return in && (r.says == "" || regexp.MustCompile(r.says).MatchString(p.Message))
}

// ruleNamed is the rule of that name, which the table has.
func ruleNamed(id string) lintRule {
	rules := lintRules()
	return rules[slices.IndexFunc(rules, func(r lintRule) bool { return r.id == id })]
}
