package profile

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

const schemaFile = "result.schema.json"

// TestResultSchema holds the published schema against the types; -update writes
// it.
func TestResultSchema(t *testing.T) {
	got := resultSchema(t)
	if *update {
		require.NoError(t, os.WriteFile(schemaFile, got, 0o644))
	}
	want, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go test ./profile -update")
}

func resultSchema(t *testing.T) []byte {
	t.Helper()
	words := map[reflect.Type][]any{
		reflect.TypeFor[Confidence](): anys(Confidences()),
		reflect.TypeFor[Backend]():    anys(append([]Backend{BackendAuto}, backends...)),
		reflect.TypeFor[Strategy]():   {StrategyRapid, StrategyThorough},
		reflect.TypeFor[Picking]():    {PickDefault, PickLoadMatch, PickAutoscale},
		reflect.TypeFor[Mode]():       {Aggregated, Disaggregated},
		reflect.TypeFor[RoleName]():   {RoleWorker, RolePrefill, RoleDecode},
	}
	r := jsonschema.Reflector{Anonymous: true, Mapper: func(typ reflect.Type) *jsonschema.Schema {
		if enum := words[typ]; enum != nil {
			return &jsonschema.Schema{Type: "string", Enum: enum}
		}
		return nil
	}}
	require.NoError(t, r.AddGoComments("github.com/dynamo-cmp/dynamo-cmp/profile", ".", jsonschema.WithFullComment()))
	s := r.Reflect(&Result{})
	s.Title = "Profiling result"
	s.ID = ResultSchema
	s.ID = "https://" + s.ID
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(s))
	return b.Bytes()
}

func anys[T any](in []T) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = v
	}
	return out
}

// TestResultsMatchSchema validates a result of every field, and refuses what the
// schema does not know.
func TestResultsMatchSchema(t *testing.T) {
	schema, err := validator.NewCompiler().Compile(schemaFile)
	require.NoError(t, err)
	data, err := fullResult().Encode()
	require.NoError(t, err)
	require.NoError(t, validateJSON(t, schema, data))
	require.Error(t, validateJSON(t, schema, bytes.Replace(data, []byte(`"reason"`), []byte(`"reasons"`), 1)))
	require.Error(t, validateJSON(t, schema, bytes.Replace(data, []byte(`"simulated"`), []byte(`"guessed"`), 1)))
}

// TestStoredResultsMatchSchema validates what the real profiler left in the
// example's store.
func TestStoredResultsMatchSchema(t *testing.T) {
	schema, err := validator.NewCompiler().Compile(schemaFile)
	require.NoError(t, err)
	found := 0
	err = filepath.WalkDir("../examples", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.HasPrefix(data, []byte("{")) && bytes.Contains(data, []byte(`"schema": "`+ResultSchema+`"`)) {
			found++
			require.NoError(t, validateJSON(t, schema, data), path)
			_, err = ParseResult(data)
			require.NoError(t, err, path)
		}
		return err
	})
	require.NoError(t, err)
	if found == 0 {
		t.Skip("the example has no store yet")
	}
}

// TestExamplesParse reads the example's requests with its hardware file.
func TestExamplesParse(t *testing.T) {
	data, err := os.ReadFile("../examples/gitops-repo/hardware.yaml")
	require.NoError(t, err)
	hardware, err := ParseHardware("hardware.yaml", data)
	require.NoError(t, err)
	paths, err := filepath.Glob("../examples/gitops-repo/apps/*/dgdr.yaml")
	require.NoError(t, err)
	require.Len(t, paths, 3)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		docs, err := Documents(path, data)
		require.NoError(t, err)
		req, err := Parse(docs[0], Defaults{Hardware: hardware})
		require.NoError(t, err)
		t.Log(path, req.Inputs().Key(), req.Warnings)
	}
}

func validateJSON(t *testing.T, schema *validator.Schema, data []byte) error {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	return schema.Validate(doc)
}

// fullResult is a valid result with every field set.
func fullResult() *Result {
	one := 1.5
	par := Parallelism{TP: 2, PP: 1, DP: 1, MoETP: 1, MoEEP: 2}
	m := Metrics{TTFTMillis: 1, ITLMillis: 2, RequestLatencyMillis: 3, Concurrency: 4, RequestsPerSecond: 5, TokensPerSecond: 6, TokensPerSecondPerGPU: 7, TokensPerSecondPerUser: 8}
	role := func(name RoleName) Role {
		return Role{Name: name, Replicas: 1, GPUsPerEngine: 2, Parallelism: par, BatchSize: 8, WorkersPerReplica: 1,
			Quantization: Quantization{GEMM: "fp8", KVCache: "fp8", FMHA: "fp8", MoE: "fp8", Comm: "half"}, MemoryGiB: 10.5, Args: []string{"--a", "<b>"}}
	}
	pick := Pick{Mode: Disaggregated, Backend: BackendVLLM, BackendVersion: "1", System: "h200_sxm", TotalGPUs: 4,
		Roles: []Role{role(RolePrefill), role(RoleDecode)}, Expected: &m}
	return &Result{
		Schema: ResultSchema, Confidence: Simulated, Reason: "r",
		Inputs: Inputs{Schema: InputsSchema, Model: "m", Revision: "r", Backend: BackendAuto, Strategy: StrategyThorough,
			Hardware: InputHardware{System: "h200_sxm", VRAMMiB: 1, TotalGPUs: 8, GPUsPerNode: 8},
			Workload: InputWorkload{ISL: 1, OSL: 1, Concurrency: 1, RequestRate: 1},
			SLA:      Targets{TTFTMillis: 1, ITLMillis: 1, E2ELatencyMillis: 1}, Picking: PickDefault, Disaggregated: true,
			SweepingMode: "rapid", RuntimeImage: "i", Engine: map[string]any{"a": []any{1.0, "b", true, nil}}},
		Model:        Model{Architecture: "A", MoE: true, ContextLength: 1, CustomCode: true, ConfigDigest: "sha256:0"},
		SLA:          SLAOutcome{Verified: true, Met: true, TTFTMarginMillis: &one, ITLMarginMillis: &one, E2ELatencyMarginMillis: &one, LoadServedPercent: &one},
		Pick:         pick,
		Alternatives: []Pick{pick},
		Pareto:       []Candidate{{Mode: Disaggregated, Backend: BackendVLLM, GPUs: 4, Roles: map[RoleName]Parallelism{RolePrefill: par, RoleDecode: par}, Expected: m}},
		Curves: &Curves{Prefill: PrefillCurve{ISL: []float64{1}, TTFTMillis: []float64{1}, TokensPerSecondPerGPU: []float64{1}},
			Decode: DecodeCurve{KVUsage: []float64{1}, ContextLength: []float64{1}, ITLMillis: []float64{1}, TokensPerSecondPerGPU: []float64{1}, MaxKVTokens: 1}},
		Warnings:   []string{"w"},
		Provenance: Provenance{Tool: "aiconfigurator", ToolVersion: "0.12.0", Database: "silicon"},
	}
}
