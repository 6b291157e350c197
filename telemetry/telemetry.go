// Package telemetry tells the outside what a run does: one stream of events becomes log
// lines, metrics, traces, and Kubernetes Events.
//
// It knows names, times and outcomes, and nothing of what is profiled. What reaches it
// has no secrets any more (Secrets).
package telemetry

import "time"

// Kind is what an Event says happened.
type Kind string

// The kinds of events. A stage is a part of the work on a request, or of the run's own:
// StageStarted and StageEnded of one stage of one request belong together.
const (
	RequestStarted Kind = "request started"
	RequestEnded   Kind = "request ended" // with Outcome, and Error unless it has a result
	StageStarted   Kind = "stage started"
	StageEnded     Kind = "stage ended"
	CandidateEnded Kind = "candidate ended"
	Progress       Kind = "progress" // Text says what is being done
	Note           Kind = "note"     // Text says what is done
	Warning        Kind = "warning"
	Failure        Kind = "failure" // Text is an error of the command, or repeats that of a request
)

// What became of a request.
const (
	Hit         = "hit"         // the store had its result
	Profiled    = "profiled"    // it has a new result
	Refused     = "refused"     // it cannot be answered as it is written
	Held        = "held"        // another runner works on it
	BudgetEnded = "budget"      // --max-gpu-hours or --deadline is over; the next run goes on
	Interrupted = "interrupted" // the runner was asked to stop
	Failed      = "failed"
)

// Lookup is the stage that asks the store for a result, which ends as Hit, Miss or Failed.
const (
	Lookup = "lookup"
	Miss   = "miss"
)

// Request is what an event is about; zero for the run as a whole.
type Request struct {
	Name, File, Key, Strategy string
}

// Event is something that happened in a run.
type Event struct {
	Kind    Kind
	Request Request
	Time    time.Time     // of the event
	Took    time.Duration // what ended
	Text    string        // for people
	Stage   string
	Outcome string
	Error   string
	// Done and Total count the requests of the run.
	Done, Total int
	// Confidence and SLA (met, missed, unverified) are those of the result.
	Confidence, SLA string
	// BudgetGPUSeconds is what a started request may take; 0 for no limit.
	BudgetGPUSeconds float64
	Candidate        *Candidate
}

// Candidate is one deployment of a sweep that is over.
type Candidate struct {
	Name       string
	Outcome    string // measured, failed, skipped, interrupted, or recalled from an earlier run
	Reason     string // the class of a failure
	GPUSeconds float64
	Phases     []Phase // in their order
}

// Phase is a part of a candidate's life.
type Phase struct {
	Name       string
	Start, End time.Time
}

// A Sink takes events, one after the other.
type Sink interface{ Take(Event) }
