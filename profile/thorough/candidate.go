package thorough

import (
	"errors"
	"time"
)

// Candidate is what became of one candidate of a sweep.
type Candidate struct {
	Name       string  // its role and parallelism
	Outcome    string  // measured, failed, skipped, interrupted, or recalled: an earlier run measured it
	Err        error   // a *Failure where the candidate's own
	GPUSeconds float64 // that it took; of one that is recalled, in that run
	Phases     []Phase // that it came to, in their order
}

// Phase is a part of a candidate's life: deploy, ready, measure, delete.
type Phase struct {
	Name       string
	Start, End time.Time
}

// ended tells of a job that is over, with the error that ends the sweep or nil.
func (s *sweep) ended(j *job, err error) {
	if s.options.Ended != nil {
		s.options.Ended(s.in, candidateOf(j, err))
	}
}

func candidateOf(j *job, err error) Candidate {
	c := Candidate{Name: j.String(), Err: err, Phases: j.times.phases()}
	if !j.times.start.IsZero() {
		last := time.Now()
		if n := len(c.Phases); n > 0 {
			last = c.Phases[n-1].End
		}
		c.GPUSeconds = last.Sub(j.times.start).Seconds() * float64(j.engine.GPUsPerEngine)
	}
	switch {
	case j.entry != nil && j.times.start.IsZero():
		c.Outcome, c.GPUSeconds = "recalled", j.entry.GPUSeconds
	case j.entry == nil && j.skip != "":
		c.Outcome, c.Err = "skipped", errors.New(j.skip)
	case j.entry != nil && j.entry.Failure != nil:
		c.Outcome, c.Err = "failed", j.entry.Failure
	case err != nil:
		c.Outcome = "interrupted"
	default:
		c.Outcome = "measured"
	}
	return c
}

// phases are the parts between the stations that were passed.
func (t times) phases() []Phase {
	ready := t.ready
	if ready.IsZero() {
		ready = t.observed // it did not get there, and was waited for until then
	}
	var passed []Phase
	for _, p := range []Phase{{"deploy", t.start, t.created}, {"ready", t.created, ready}, {"measure", t.ready, t.observed}, {"delete", t.deleting, t.end}} {
		if !p.Start.IsZero() && !p.End.IsZero() {
			passed = append(passed, p)
		}
	}
	return passed
}
