package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/gowebpki/jcs"
)

// InputsSchema is raised when the meaning of Inputs changes, which orphans every
// older key on purpose.
const InputsSchema = 1

// Inputs is exactly those facts of a request that can change the answer. A
// profiler receives Inputs and nothing else of the request, so no field outside
// the key can change a result.
type Inputs struct {
	Schema        int            `json:"schema"`
	Model         string         `json:"model"`
	Revision      string         `json:"revision,omitempty"` // snapshot hash of the model cache path, where given
	Backend       Backend        `json:"backend"`
	Strategy      Strategy       `json:"strategy"`
	Hardware      InputHardware  `json:"hardware"`
	Workload      InputWorkload  `json:"workload"`
	SLA           Targets        `json:"sla"`
	Picking       Picking        `json:"picking"`
	Disaggregated bool           `json:"disaggregated,omitempty"` // the pick must have prefill and decode roles
	SweepingMode  string         `json:"sweepingMode,omitempty"`  // pre_deployment_sweeping_mode of planner or mocker
	RuntimeImage  string         `json:"runtimeImage,omitempty"`  // thorough only: what is measured
	Engine        map[string]any `json:"engine,omitempty"`        // thorough only: overrides.dgd, which changes engines
}

// Inputs returns what a profiler is told of the request. What cannot change the
// answer is left out: the load under autoscaling, where the planner follows it;
// the need for roles under autoscaling, which searches no other pick; images and
// overrides under rapid, which runs none of them.
func (r *Request) Inputs() Inputs {
	s := &r.Spec
	in := Inputs{
		Schema:   InputsSchema,
		Model:    s.Model,
		Backend:  s.Backend,
		Strategy: s.SearchStrategy,
		Hardware: InputHardware{System: gpus[s.Hardware.GPUSKU].system, VRAMMiB: s.Hardware.VRAMMiB,
			TotalGPUs: s.Hardware.TotalGPUs, GPUsPerNode: s.Hardware.GPUsPerNode},
		Workload: InputWorkload{ISL: s.Workload.ISL, OSL: s.Workload.OSL},
		SLA:      s.SLA.Targets(),
		Picking:  s.picking(),
	}
	if s.ModelCache != nil {
		in.Revision = snapshot(s.ModelCache.PVCModelPath)
	}
	if in.Picking == PickLoadMatch {
		in.Workload.Concurrency = orNone(s.Workload.Concurrency)
		in.Workload.RequestRate = orNone(s.Workload.RequestRate)
	}
	in.Disaggregated = s.Features.Mocker && in.Picking != PickAutoscale
	if s.needsCurves() {
		in.SweepingMode = "thorough"
	}
	if in.Strategy == StrategyThorough {
		in.RuntimeImage = RuntimeImage(s.Image, s.Backend)
		in.Engine = engineOverride(s.Overrides.DGD)
	}
	return in
}

// Estimated is the request as a simulation may answer it in the meantime, where it
// asks for a measurement.
func (r *Request) Estimated() *Request {
	estimated := *r
	estimated.Spec.SearchStrategy = StrategyRapid
	return &estimated
}

// needsCurves reports whether the planner or the mocker works from measured
// curves. The mocker alone goes by the search (profiler/utils/profile_common.py).
func (s *Spec) needsCurves() bool {
	f := s.Features
	if f.Mocker && f.Planner == nil {
		return s.SearchStrategy == StrategyThorough
	}
	return (f.throughputScaling() || f.Mocker) && f.sweepingMode() == "thorough"
}

// picking follows Dynamo's order (profiler/utils/profile_common.py).
func (s *Spec) picking() Picking {
	switch {
	case s.Features.Planner != nil:
		return PickAutoscale
	case s.Workload.Concurrency != nil || s.Workload.RequestRate != nil:
		return PickLoadMatch
	}
	return PickDefault
}

// snapshot returns the revision in a Hugging Face cache path,
// …/snapshots/<revision>[/…], or "".
func snapshot(modelPath string) string {
	parts := strings.Split(modelPath, "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == "snapshots" {
			return parts[i+1]
		}
	}
	return ""
}

// engineOverride is the part of overrides.dgd that reaches an engine: all but
// the deployment's name, labels and annotations.
func engineOverride(dgd map[string]any) map[string]any {
	if _, ok := dgd["spec"]; !ok {
		return nil
	}
	engine := maps.Clone(dgd)
	delete(engine, "metadata")
	return engine
}

func orNone(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

// InputHardware is the hardware that a profiler searches over.
type InputHardware struct {
	System      string  `json:"system"`            // AIConfigurator's name of the GPU system: gb200, not gb200_sxm
	VRAMMiB     float64 `json:"vramMiB,omitempty"` // per GPU, where the request says it
	TotalGPUs   int     `json:"totalGpus"`
	GPUsPerNode int     `json:"gpusPerNode"`
}

// InputWorkload is the traffic that a profiler sizes for. Concurrency is in
// requests in flight, RequestRate in requests per second; zero when not given.
type InputWorkload struct {
	ISL         int     `json:"isl"`
	OSL         int     `json:"osl"`
	Concurrency float64 `json:"concurrency,omitempty"`
	RequestRate float64 `json:"requestRate,omitempty"`
}

// Targets is the latency that a pick has to meet, in milliseconds.
// E2ELatencyMillis is zero when no end-to-end target is set. An assumed target is
// Dynamo's default where the request names none: it guides the search, and a pick
// that misses it stands with a warning.
type Targets struct {
	TTFTMillis       float64 `json:"ttftMillis"`
	TTFTAssumed      bool    `json:"ttftAssumed,omitempty"`
	ITLMillis        float64 `json:"itlMillis"`
	ITLAssumed       bool    `json:"itlAssumed,omitempty"`
	E2ELatencyMillis float64 `json:"e2eLatencyMillis,omitempty"`
}

// Key addresses a profiling answer: equal inputs have equal keys on every
// machine. It reads sha256:<64 hex digits>.
type Key string

// Key hashes the canonical JSON (RFC 8785) of the inputs.
func (in Inputs) Key() Key {
	sum := sha256.Sum256(in.Canonical())
	return Key("sha256:" + hex.EncodeToString(sum[:]))
}

// Canonical is the RFC 8785 form of the inputs: every byte that enters the key.
func (in Inputs) Canonical() []byte {
	plain, err := json.Marshal(in)
	if err != nil {
		panic(fmt.Sprintf("marshalling inputs: %v", err)) // Parse admits JSON values only
	}
	canonical, err := jcs.Transform(plain)
	if err != nil {
		panic(fmt.Sprintf("canonicalising inputs: %v", err)) // json.Marshal wrote valid JSON
	}
	return canonical
}
