package thorough

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// What a candidate takes before anything is known of it: loading weights and compiling
// kernels, and one load with AIPerf's own start.
const (
	assumedStart = 10 * time.Minute
	assumedLoad  = time.Minute
)

// Plan is what a sweep would do.
type Plan struct {
	Candidates []Planned     `json:"candidates"`
	GPUHours   float64       `json:"gpuHours"` // estimated
	Duration   time.Duration `json:"-"`        // estimated, with MaxGPUs at once
	Seconds    float64       `json:"seconds"`
}

// Planned is one candidate of a plan.
type Planned struct {
	Role        profile.RoleName    `json:"role"`
	Parallelism profile.Parallelism `json:"parallelism"`
	GPUs        int                 `json:"gpus"`
	Loads       int                 `json:"loads"`
	Seconds     float64             `json:"seconds"`        // estimated
	Skip        string              `json:"skip,omitempty"` // why it would not be measured
}

// Plan returns the candidates of the inputs and what measuring them would take: ten
// minutes to start each and one for each load, by assumption. It touches no cluster
// and knows no earlier measurements.
func (p *Profiler) Plan(ctx context.Context, in profile.Inputs, modelDir string) (*Plan, error) {
	s, jobs, _, err := p.plan(ctx, in, modelDir)
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	var ends []gpuEnd // of what runs
	now, free := time.Duration(0), s.options.MaxGPUs
	for _, j := range largestFirst(jobs) {
		if j.skip != "" {
			continue
		}
		for free < j.engine.GPUsPerEngine {
			slices.SortFunc(ends, func(a, b gpuEnd) int { return cmp.Compare(a.at, b.at) })
			now, free, ends = ends[0].at, free+ends[0].gpus, ends[1:]
		}
		takes := s.assume(j)
		ends = append(ends, gpuEnd{now + takes, j.engine.GPUsPerEngine})
		free -= j.engine.GPUsPerEngine
		plan.Duration = max(plan.Duration, now+takes)
		plan.GPUHours += takes.Hours() * float64(j.engine.GPUsPerEngine)
	}
	plan.Seconds = plan.Duration.Seconds()
	for _, j := range jobs {
		plan.Candidates = append(plan.Candidates, Planned{
			Role: j.engine.Name, Parallelism: j.engine.Parallelism, GPUs: j.engine.GPUsPerEngine,
			Loads: s.assumedLoads(j), Seconds: s.assume(j).Seconds(), Skip: j.skip,
		})
	}
	return plan, nil
}

// gpuEnd is when a candidate of a plan gives its GPUs back.
type gpuEnd struct {
	at   time.Duration
	gpus int
}

func (s *sweep) assumedLoads(j *job) int {
	if j.engine.Name == profile.RolePrefill {
		return 1
	}
	return s.options.Points.Decode
}

func (s *sweep) assume(j *job) time.Duration {
	return assumedStart + time.Duration(s.assumedLoads(j))*assumedLoad
}
