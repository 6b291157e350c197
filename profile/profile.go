// Package profile says what is profiled and what comes out of it: the request
// parsed from a DynamoGraphDeploymentRequest (DGDR), the inputs that can change
// an answer, the key over those inputs, and the result.
//
// It works on values only: no files, no clock, no environment, no network.
package profile

// Backend names an inference engine, as spec.backend of a DGDR spells it.
type Backend string

// The engines that a DGDR may ask for; BackendAuto leaves the choice to the
// profiler and never appears in a pick.
const (
	BackendAuto   Backend = "auto"
	BackendVLLM   Backend = "vllm"
	BackendSGLang Backend = "sglang"
	BackendTRTLLM Backend = "trtllm"
)

// backends are the engines that a pick may name.
var backends = []Backend{BackendVLLM, BackendSGLang, BackendTRTLLM}

// Strategy says how a request is answered, as spec.searchStrategy spells it.
type Strategy string

// StrategyRapid simulates, StrategyThorough measures on real GPUs.
const (
	StrategyRapid    Strategy = "rapid"
	StrategyThorough Strategy = "thorough"
)

// Picking is the rule by which one configuration is chosen from a sweep.
type Picking string

// The picking rules of Dynamo 1.5 (profiler/utils/profile_common.py): autoscale
// when the planner scales the deployment, load match when the workload names a
// rate or a concurrency, else the best throughput under the SLA.
const (
	PickDefault   Picking = "default"
	PickLoadMatch Picking = "load-match"
	PickAutoscale Picking = "autoscale"
)

// Mode says whether prefill and decode share an engine.
type Mode string

// The two serving modes.
const (
	Aggregated    Mode = "agg"
	Disaggregated Mode = "disagg"
)

// RoleName names the part of a topology that an engine plays.
type RoleName string

// An aggregated topology has one worker role; a disaggregated one has a prefill
// and a decode role.
const (
	RoleWorker  RoleName = "worker"
	RolePrefill RoleName = "prefill"
	RoleDecode  RoleName = "decode"
)

// Confidence says how a result was obtained, strongest first: Measured on real
// GPUs, Simulated from measured tables, Estimated from tables that are
// themselves estimates, Imported from the output of another tool, whose word is all
// there is, Naive from the memory fit alone (the SLA is unverified).
type Confidence string

// The confidences, strongest first.
const (
	Measured  Confidence = "measured"
	Simulated Confidence = "simulated"
	Estimated Confidence = "estimated"
	Imported  Confidence = "imported"
	Naive     Confidence = "naive"
)

// Confidences lists every confidence, strongest first.
func Confidences() []Confidence {
	return []Confidence{Measured, Simulated, Estimated, Imported, Naive}
}
