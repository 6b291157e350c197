package thorough

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Options says where and how candidates are measured, and what that may cost.
type Options struct {
	Cluster *Cluster
	AIPerf  *AIPerf
	Journal Journal
	// Engines enumerates the candidates.
	Engines func(ctx context.Context, in profile.Inputs, modelDir string) (*profile.Engines, error)
	// Predict adds predictions to the points of trials, where there are any.
	Predict  func(ctx context.Context, in profile.Inputs, modelDir string, trials []profile.Trial) error
	Points   Points
	Timeouts Timeouts
	// MaxGPUs is how many GPUs candidates may take at once; 0 for what the request has.
	MaxGPUs int
	// MaxGPUHours and Deadline end a sweep; 0 for none.
	MaxGPUHours float64
	Deadline    time.Duration
	// Lease is how long a key stays with a runner that is dead. A runner that does not
	// reach the API server for three quarters of it gives up.
	Lease    time.Duration
	Identity string // of the runner, as holder of the lease
	// Grace is how long the end may take when a runner is asked to stop.
	Grace time.Duration
	// Replaces is the digest of the result that a new sweep replaces; without it, what
	// was measured for the key before counts.
	Replaces string
	// Progress is told what is being done; calls may be concurrent.
	Progress func(in profile.Inputs, message string)
	// Ended is told of each candidate that is over; calls may be concurrent.
	Ended func(in profile.Inputs, c Candidate)
}

// Points are the numbers of loads on the axes of a sweep.
type Points struct {
	Prefill int // input lengths of the prefill curve
	Decode  int // concurrencies, and input lengths of the decode curve
}

// Deployment renders the DGD that serves one engine alone under a name.
type Deployment func(engine profile.Role, model profile.Model, name string) (map[string]any, error)

// Profiler answers inputs by measurement.
type Profiler struct {
	options Options
}

// New returns a profiler.
func New(o Options) *Profiler {
	return &Profiler{options: o}
}

// Profile measures the candidates of the inputs, each deployed as deploy renders it,
// and picks. modelDir is a local directory with the model's config.json and tokenizer,
// or empty.
//
// The error is ErrHeld where another runner works on the key. What ends a sweep early
// (a budget, a signal, a fault that all candidates share) is an error that names it;
// what was measured until then is kept, and the next Profile goes on from there. No
// candidate is left in the cluster, unless the runner is killed: then the next one
// deletes it.
func (p *Profiler) Profile(ctx context.Context, in profile.Inputs, modelDir string, deploy Deployment) (*profile.Result, []profile.File, error) {
	s, jobs, engines, err := p.plan(ctx, in, modelDir)
	if err != nil {
		return nil, nil, err
	}
	s.deploy, s.modelDir = deploy, modelDir
	ctx, release, err := s.options.Cluster.hold(ctx, s.key, s.options.Identity, s.options.Lease)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if d := s.options.Deadline; d > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, d, ErrDeadline)
		defer stop()
	}
	go s.meter.guard(ctx, cancel)
	res, files, err := s.answer(ctx, jobs, engines)
	if err != nil {
		return nil, nil, s.explain(err, jobs)
	}
	return res, files, nil
}

// plan is the sweep and its first jobs. It touches no cluster.
func (p *Profiler) plan(ctx context.Context, in profile.Inputs, modelDir string) (*sweep, []*job, *profile.Engines, error) {
	if in.Strategy != profile.StrategyThorough {
		return nil, nil, nil, fmt.Errorf("strategy %q is not answered by measurement", in.Strategy)
	}
	o := p.options
	if o.MaxGPUs == 0 {
		o.MaxGPUs = in.Hardware.TotalGPUs
	}
	engines, err := o.Engines(ctx, in, modelDir)
	if err != nil {
		return nil, nil, nil, err
	}
	s := &sweep{
		options: o, in: in, key: in.Key(), model: engines.Model, meter: newMeter(o.MaxGPUHours), tight: map[profile.RoleName][]profile.Role{},
		target: Target{Model: in.Model, Tokenizer: in.Model},
		say: func(j *job, message string) {
			if j != nil {
				message = j.String() + " " + message
			}
			if o.Progress != nil {
				o.Progress(in, message)
			}
		},
	}
	if modelDir != "" {
		s.target.Tokenizer = modelDir
	}
	var jobs []*job
	for _, e := range append(engines.Prefill, engines.Decode...) {
		j := &job{engine: e}
		if e.GPUsPerEngine > o.MaxGPUs {
			j.skip = fmt.Sprintf("takes %d GPUs, more than the %d that may be used", e.GPUsPerEngine, o.MaxGPUs)
		}
		jobs = append(jobs, j)
	}
	return s, jobs, engines, nil
}

// explain adds to an error how far the sweep came.
func (s *sweep) explain(err error, jobs []*job) error {
	done := 0
	for _, j := range jobs {
		if j.entry != nil && (j.entry.Failure == nil || j.entry.Failure.final()) || j.skip != "" {
			done++
		}
	}
	why := ""
	switch {
	case errors.Is(err, ErrBudget):
		why = fmt.Sprintf(" (%.2f of %.2f GPU hours)", s.meter.total()/3600, s.options.MaxGPUHours)
	case errors.Is(err, ErrDeadline):
		why = fmt.Sprintf(" (%s)", s.options.Deadline)
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	return fmt.Errorf("%w%s: %d of %d candidates are done and kept; to go on with the rest: run again", err, why, done, len(jobs))
}

// answer measures, picks, and measures the curves of the pick where they are needed.
// The files are the raw exports of everything.
func (s *sweep) answer(ctx context.Context, jobs []*job, engines *profile.Engines) (*profile.Result, []profile.File, error) {
	if err := s.measure(ctx, jobs); err != nil {
		return nil, nil, err
	}
	res, err := s.result(jobs, engines)
	if err != nil {
		return nil, nil, err
	}
	if err := s.predict(ctx, res); err != nil {
		return nil, nil, err
	}
	ran := jobs
	if s.in.SweepingMode == "thorough" {
		curves := curveJobs(&res.Pick, jobs)
		if err := s.measure(ctx, curves); err != nil {
			return nil, nil, err
		}
		if res.Curves, err = s.curves(curves); err != nil {
			return nil, nil, err
		}
		ran = append(ran, curves...)
	}
	if path := criticalPath(ran); path != "" {
		s.say(nil, path)
	}
	return res, filesOf(ran), nil
}

// curveJobs are the engines of a pick, as they were measured.
func curveJobs(pick *profile.Pick, jobs []*job) []*job {
	var curves []*job
	for _, role := range pick.Roles {
		for _, j := range jobs {
			if j.engine.Name == role.Name && j.engine.Parallelism == role.Parallelism {
				curves = append(curves, &job{engine: j.engine, curve: true})
			}
		}
	}
	return curves
}

// curves are the planner's, fitted and checked.
func (s *sweep) curves(jobs []*job) (*profile.Curves, error) {
	tokens := 0
	for _, j := range jobs {
		if j.entry == nil {
			return nil, fmt.Errorf("%s: %s", j, j.skip)
		}
		if f := j.entry.Failure; f != nil {
			return nil, fmt.Errorf("%s: %w", j, f)
		}
		tokens = max(tokens, j.entry.KVTokens)
	}
	prefill, decode := pointsOf(jobs)
	curves, err := Curves(prefill, decode, tokens)
	if err != nil {
		return nil, fmt.Errorf("the planner could not use the curves that were measured: %w", err)
	}
	return curves, nil
}

// filesOf are the raw exports of the jobs, named for them.
func filesOf(jobs []*job) []profile.File {
	var files []profile.File
	for _, j := range jobs {
		if j.entry == nil {
			continue
		}
		for _, f := range j.entry.files {
			f.Name = strings.ReplaceAll(j.String(), " ", "_") + "_" + f.Name
			files = append(files, f)
		}
	}
	return files
}
