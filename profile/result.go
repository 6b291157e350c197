package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ResultSchema names the version of the result document. It changes when an old
// reader would misread a new result.
const ResultSchema = "dynamo-cmp.github.io/result/v1"

// Result is the answer to a set of inputs. A simulated result is a function of
// the inputs and the tool versions: it holds no time, no host name, no path.
type Result struct {
	Schema       string      `json:"schema"`
	Inputs       Inputs      `json:"inputs"`
	Confidence   Confidence  `json:"confidence"`
	Reason       string      `json:"reason,omitempty"` // why the confidence is below simulated
	Model        Model       `json:"model"`
	SLA          SLAOutcome  `json:"sla"`
	Pick         Pick        `json:"pick"`
	Alternatives []Pick      `json:"alternatives,omitempty"` // ranked, best first, without the pick
	Pareto       []Candidate `json:"pareto,omitempty"`       // per mode, in the order of the sweep
	Curves       *Curves     `json:"curves,omitempty"`       // thorough only
	Trials       []Trial     `json:"trials,omitempty"`       // thorough only: every candidate, in the order of enumeration
	Warnings     []string    `json:"warnings,omitempty"`
	Provenance   Provenance  `json:"provenance"`
}

// Model is what the model's config.json says that manifests depend on.
type Model struct {
	Architecture  string `json:"architecture"`
	MoE           bool   `json:"moe"`
	ContextLength int    `json:"contextLength,omitempty"` // tokens
	CustomCode    bool   `json:"customCode"`              // config.json has auto_map: engines need --trust-remote-code
	ConfigDigest  string `json:"configDigest"`            // sha256 of the config.json that was read
}

// SLAOutcome compares the prediction with the targets. Margins are target minus
// prediction in milliseconds, negative when missed, absent where there is no
// target or no prediction.
type SLAOutcome struct {
	Verified               bool     `json:"verified"` // false for a naive result: nothing was predicted
	Met                    bool     `json:"met"`
	TTFTMarginMillis       *float64 `json:"ttftMarginMillis,omitempty"`
	ITLMarginMillis        *float64 `json:"itlMarginMillis,omitempty"`
	E2ELatencyMarginMillis *float64 `json:"e2eLatencyMarginMillis,omitempty"`
	LoadServedPercent      *float64 `json:"loadServedPercent,omitempty"` // load match only: below 100, the budget is too small
}

// Verdict is the outcome in a word: met, missed, or unverified.
func (s SLAOutcome) Verdict() string {
	switch {
	case !s.Verified:
		return "unverified"
	case s.Met:
		return "met"
	}
	return "missed"
}

// Pick is a configuration that can be deployed.
type Pick struct {
	Mode           Mode     `json:"mode"`
	Backend        Backend  `json:"backend"`
	BackendVersion string   `json:"backendVersion,omitempty"` // of the performance tables, not of the runtime image
	System         string   `json:"system"`
	TotalGPUs      int      `json:"totalGpus"`          // of all replicas of all roles
	Roles          []Role   `json:"roles"`              // worker, or prefill then decode
	Expected       *Metrics `json:"expected,omitempty"` // nil when nothing was predicted
	// Predicted is what AIConfigurator expects of a pick whose Expected is measured.
	Predicted *Metrics `json:"predicted,omitempty"`
}

// Role is one pool of identical engines.
type Role struct {
	Name              RoleName     `json:"name"`
	Replicas          int          `json:"replicas"`
	GPUsPerEngine     int          `json:"gpusPerEngine"` // tp*pp*dp
	Parallelism       Parallelism  `json:"parallelism"`
	BatchSize         int          `json:"batchSize"`
	WorkersPerReplica int          `json:"workersPerReplica,omitempty"` // disaggregated: engines of this role in one unit of scale
	Quantization      Quantization `json:"quantization"`
	MemoryGiB         float64      `json:"memoryGiB,omitempty"` // predicted use per GPU
	// Args are the engine's command line flags as AIConfigurator's generator
	// gives them, before the rules of Dynamo and ours: no model, no role.
	Args []string `json:"args,omitempty"`
}

// Parallelism is how one engine is split over GPUs. MoETP and MoEEP are 1 for
// dense models.
type Parallelism struct {
	TP    int `json:"tp"`
	PP    int `json:"pp"`
	DP    int `json:"dp"` // attention data parallelism
	MoETP int `json:"moeTp"`
	MoEEP int `json:"moeEp"`
}

// Quantization is the number formats an engine runs with, in AIConfigurator's
// words; empty when unknown.
type Quantization struct {
	GEMM    string `json:"gemm,omitempty"`
	KVCache string `json:"kvCache,omitempty"`
	FMHA    string `json:"fmha,omitempty"`
	MoE     string `json:"moe,omitempty"`
	Comm    string `json:"comm,omitempty"`
}

// Metrics is what one unit of scale (an aggregated engine, or one prefill-decode
// group) is expected to do.
type Metrics struct {
	TTFTMillis             float64 `json:"ttftMillis"`
	ITLMillis              float64 `json:"itlMillis"`
	RequestLatencyMillis   float64 `json:"requestLatencyMillis"`
	Concurrency            float64 `json:"concurrency"`
	RequestsPerSecond      float64 `json:"requestsPerSecond"`
	TokensPerSecond        float64 `json:"tokensPerSecond"`
	TokensPerSecondPerGPU  float64 `json:"tokensPerSecondPerGpu"`
	TokensPerSecondPerUser float64 `json:"tokensPerSecondPerUser"`
}

// Candidate is a point of a sweep: what was tried and what it would do.
type Candidate struct {
	Mode     Mode                     `json:"mode"`
	Backend  Backend                  `json:"backend"`
	GPUs     int                      `json:"gpus"` // of one unit of scale
	Roles    map[RoleName]Parallelism `json:"roles"`
	Expected Metrics                  `json:"expected"`
}

// Curves are the measured engine curves that the Dynamo planner interpolates
// (reference: PlannerConfig profile data). Arrays of one curve have equal length.
type Curves struct {
	Prefill PrefillCurve `json:"prefill"`
	Decode  DecodeCurve  `json:"decode"`
}

// PrefillCurve is TTFT and throughput over the input length.
type PrefillCurve struct {
	ISL                   []float64 `json:"isl"`
	TTFTMillis            []float64 `json:"ttftMillis"`
	TokensPerSecondPerGPU []float64 `json:"tokensPerSecondPerGpu"`
}

// DecodeCurve is ITL and throughput over a flattened grid of KV use (0 to 1)
// and context length (tokens).
type DecodeCurve struct {
	KVUsage               []float64 `json:"kvUsage"`
	ContextLength         []float64 `json:"contextLength"`
	ITLMillis             []float64 `json:"itlMillis"`
	TokensPerSecondPerGPU []float64 `json:"tokensPerSecondPerGpu"`
	MaxKVTokens           int       `json:"maxKvTokens"`
}

// Provenance says which tools made the result. It is not part of the key: a
// newer tool makes a newer result for the same key.
type Provenance struct {
	Tool        string `json:"tool"` // aiconfigurator, aiperf
	ToolVersion string `json:"toolVersion"`
	Database    string `json:"database,omitempty"`   // silicon, hybrid or sol: the performance tables' kind
	Enumerator  string `json:"enumerator,omitempty"` // thorough only: what enumerated the candidates, with its version
	Image       string `json:"image,omitempty"`      // thorough only: the runtime image by digest, as nodes ran it
	// Source is what an imported result was read from, one of Sources; Claims is the
	// confidence that it would have here, empty where the source does not tell.
	Source string     `json:"source,omitempty"`
	Claims Confidence `json:"claims,omitempty"`
}

// The sources of imported results: the output directory of AIConfigurator's command
// line, and the ConfigMap dgdr-output-* of Dynamo's profiler.
const (
	SourceAIConfigurator = "aiconfigurator-output"
	SourceDGDR           = "dgdr-output"
)

// Sources lists what results are imported from.
func Sources() []string {
	return []string{SourceAIConfigurator, SourceDGDR}
}

// Basis is the confidence that the numbers of a result have, whoever vouches for
// them; empty where an imported one does not tell.
func (r *Result) Basis() Confidence {
	if r.Confidence == Imported {
		return r.Provenance.Claims
	}
	return r.Confidence
}

// Name is the tool with its version, as locks and reports name it.
func (p Provenance) Name() string {
	return strings.TrimSpace(p.Tool + " " + p.ToolVersion)
}

// ParseResult decodes a result strictly and checks what every reader relies on:
// the schema, a known confidence, and a pick whose roles fit its mode.
func ParseResult(data []byte) (*Result, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var res Result
	if err := dec.Decode(&res); err != nil {
		return nil, fmt.Errorf("decoding result: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decoding result: more than one JSON value")
	}
	if err := res.check(); err != nil {
		return nil, fmt.Errorf("checking result: %w", err)
	}
	return &res, nil
}

// Encode is the result as stored: indented JSON, keys in the order of the
// types, a final newline. Equal results are equal bytes.
func (r *Result) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("checking result: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encoding result: %w", err)
	}
	return b.Bytes(), nil
}

// Role returns the role of that name, or nil.
func (p *Pick) Role(name RoleName) *Role {
	for i := range p.Roles {
		if p.Roles[i].Name == name {
			return &p.Roles[i]
		}
	}
	return nil
}

// File is raw tool output kept beside a result: a CSV of AIConfigurator, an
// export of AIPerf.
type File struct {
	Name      string // unique in its result, no path: best_agg.csv
	MediaType string
	Data      []byte
}
