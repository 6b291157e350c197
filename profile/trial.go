package profile

// Trial is one engine that a measurement tried, whatever came of it.
type Trial struct {
	Role        RoleName    `json:"role"`
	Parallelism Parallelism `json:"parallelism"`
	GPUs        int         `json:"gpus"`
	State       TrialState  `json:"state"`
	Reason      string      `json:"reason,omitempty"` // why it is not measured
	MaxKVTokens int         `json:"maxKvTokens,omitempty"`
	Points      []Point     `json:"points,omitempty"` // in the order of the loads
}

// TrialState says what came of a trial.
type TrialState string

const (
	TrialMeasured TrialState = "measured"
	TrialFailed   TrialState = "failed"
	TrialSkipped  TrialState = "skipped"
)

// Point is what an engine was measured to do under one load: TTFT for a prefill
// engine, ITL and throughput for a decode engine.
type Point struct {
	ISL                   int     `json:"isl"`
	OSL                   int     `json:"osl"`
	Concurrency           int     `json:"concurrency"`
	TTFTMillis            float64 `json:"ttftMillis,omitempty"`
	ITLMillis             float64 `json:"itlMillis,omitempty"`
	TokensPerSecondPerGPU float64 `json:"tokensPerSecondPerGpu,omitempty"`
	// Predicted is what AIConfigurator expects of the same engine and load; nil where
	// its tables do not cover them.
	Predicted *Prediction `json:"predicted,omitempty"`
}

// Prediction is the simulated counterpart of a Point.
type Prediction struct {
	TTFTMillis            float64 `json:"ttftMillis,omitempty"`
	ITLMillis             float64 `json:"itlMillis,omitempty"`
	TokensPerSecondPerGPU float64 `json:"tokensPerSecondPerGpu,omitempty"`
}
