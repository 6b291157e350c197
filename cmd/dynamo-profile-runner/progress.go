package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/thorough"
	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

// progress tells what a command does as one stream of events: to people or a log, and to
// whoever else listens.
type progress struct {
	secrets telemetry.Secrets

	mu     sync.Mutex
	sinks  []telemetry.Sink
	count  int // of all requests
	done   int
	active []*running
}

// running is a request that is being answered.
type running struct {
	telemetry.Request
	step    string
	started time.Time
}

// newProgress tells the sinks.
func newProgress(secrets telemetry.Secrets, sinks ...telemetry.Sink) *progress {
	return &progress{secrets: secrets, sinks: sinks}
}

// progressOf tells what a command does on its stderr, as --log-format says.
func progressOf(cmd *cobra.Command) *progress {
	return newProgress(secretsOfEnvironment(), newLines(cmd.Root().PersistentFlags().Lookup(logFormat).Value.String(), cmd.ErrOrStderr()))
}

// logFormat is the flag that says how lines are written to stderr.
const logFormat = "log-format"

// newLines is what writes them.
func newLines(format string, w io.Writer) telemetry.Sink {
	if format == "json" {
		return telemetry.NewLog(w)
	}
	return newScreen(w)
}

// secretsOfEnvironment are credentials that libraries take from the environment.
func secretsOfEnvironment() telemetry.Secrets {
	var secrets telemetry.Secrets
	for _, name := range []string{"HF_TOKEN", "COSIGN_PASSWORD", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		for part := range strings.SplitSeq(os.Getenv(name), ",") {
			if _, value, ok := strings.Cut(part, "="); ok && name != "COSIGN_PASSWORD" {
				part = value
			}
			if part = strings.TrimSpace(part); len(part) >= 4 { // less would be a word's part
				secrets = append(secrets, part)
			}
		}
	}
	return secrets
}

// tell gives an event to the sinks, one after the other.
func (p *progress) tell(e telemetry.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass(e)
}

// pass is tell for who holds the lock.
func (p *progress) pass(e telemetry.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e = p.secrets.Event(e)
	for _, s := range p.sinks {
		s.Take(e)
	}
}

// listen adds a sink.
func (p *progress) listen(s telemetry.Sink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sinks = append(p.sinks, s)
}

// close ends the sinks that have an end.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sinks {
		if c, ok := s.(*screen); ok {
			c.close()
		}
	}
}

func (p *progress) total(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = n
}

// requestOf is the request of a job, as events name it.
func requestOf(j job) telemetry.Request {
	if j.req == nil {
		return telemetry.Request{File: j.rel}
	}
	return telemetry.Request{Name: j.req.Name, File: j.req.File, Key: string(j.key), Strategy: string(j.req.Spec.SearchStrategy)}
}

// start tells that a request is being answered, with the GPU hours that it may take.
func (p *progress) start(j job, maxGPUHours float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := telemetry.Event{Kind: telemetry.RequestStarted, Request: requestOf(j)}
	if j.req.Spec.SearchStrategy == profile.StrategyThorough {
		e.BudgetGPUSeconds = maxGPUHours * 3600
	}
	e.Done, e.Total = p.done, p.count
	p.active = append(p.active, &running{Request: e.Request, started: time.Now()})
	p.pass(e)
}

// step tells what a profiler does for the inputs now.
func (p *progress) step(in profile.Inputs, message string) {
	key := string(in.Key())
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.active {
		if r.Key == key {
			p.pass(telemetry.Event{Kind: telemetry.Progress, Request: r.Request, Text: message})
		}
	}
}

// candidate tells of a candidate that is over. Requests that share it are told once.
func (p *progress) candidate(in profile.Inputs, c thorough.Candidate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := telemetry.Event{Kind: telemetry.CandidateEnded, Request: telemetry.Request{Key: string(in.Key())},
		Candidate: &telemetry.Candidate{Name: c.Name, Outcome: c.Outcome, GPUSeconds: c.GPUSeconds}}
	if i := slices.IndexFunc(p.active, func(r *running) bool { return r.Key == e.Request.Key }); i >= 0 {
		e.Request = p.active[i].Request
	}
	var failure *thorough.Failure
	if errors.As(c.Err, &failure) {
		e.Candidate.Reason = string(failure.Class)
	}
	if c.Err != nil {
		e.Error = c.Err.Error()
	}
	for _, phase := range c.Phases {
		e.Candidate.Phases = append(e.Candidate.Phases, telemetry.Phase(phase))
		e.Took = phase.End.Sub(c.Phases[0].Start)
	}
	p.pass(e)
}

// stage tells that a stage of a request begins, or of the run where the job is empty;
// what is returned tells its end.
func (p *progress) stage(j job, name string) (end func(outcome string, err error)) {
	e := telemetry.Event{Kind: telemetry.StageStarted, Stage: name, Time: time.Now()}
	if j.req != nil {
		e.Request = requestOf(j)
	}
	p.tell(e)
	return func(outcome string, err error) {
		e.Took = time.Since(e.Time)
		e.Kind, e.Time, e.Outcome = telemetry.StageEnded, time.Now(), outcome
		if err != nil {
			e.Error = err.Error()
		}
		p.tell(e)
	}
}

// finish tells what became of a request.
func (p *progress) finish(ctx context.Context, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	e := telemetry.Event{Kind: telemetry.RequestEnded, Request: requestOf(o.job), Time: time.Now(), Outcome: outcomeOf(ctx, o), Done: p.done, Total: p.count}
	if i := slices.IndexFunc(p.active, func(r *running) bool { return r.Request == e.Request }); i >= 0 {
		e.Took = e.Time.Sub(p.active[i].started)
		p.active = slices.Delete(p.active, i, i+1)
	}
	switch {
	case o.err != nil:
		e.Error = o.err.Error()
	case o.result != nil:
		e.Confidence, e.SLA = string(o.result.Confidence), o.result.SLA.Verdict()
	}
	e.Text = fmt.Sprintf("%s in %s (%d of %d)", e.Outcome, e.Took.Round(time.Second/10), p.done, p.count)
	p.pass(e)
}

// outcomeOf is what became of a request, as telemetry names it.
func outcomeOf(ctx context.Context, o outcome) string {
	var problems profile.Problems
	switch {
	case o.err == nil:
		return o.status
	case errors.Is(o.err, thorough.ErrHeld):
		return telemetry.Held
	case errors.Is(o.err, thorough.ErrBudget), errors.Is(o.err, thorough.ErrDeadline):
		return telemetry.BudgetEnded
	case ctx.Err() != nil:
		return telemetry.Interrupted
	case o.job.problem != nil, errors.As(o.err, &problems):
		return telemetry.Refused
	}
	return telemetry.Failed
}

func (p *progress) note(r telemetry.Request, text string) {
	p.tell(telemetry.Event{Kind: telemetry.Note, Request: r, Text: text})
}

func (p *progress) warn(r telemetry.Request, text string) {
	p.tell(telemetry.Event{Kind: telemetry.Warning, Request: r, Text: text})
}

// fail tells an error, of a request or of the command.
func (p *progress) fail(r telemetry.Request, text string) {
	p.tell(telemetry.Event{Kind: telemetry.Failure, Request: r, Text: text})
}
