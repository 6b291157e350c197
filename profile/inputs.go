package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

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
// E2ELatencyMillis is zero when no end-to-end target is set.
type Targets struct {
	TTFTMillis       float64 `json:"ttftMillis"`
	ITLMillis        float64 `json:"itlMillis"`
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
