package thorough

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// job is one engine with what is to be measured on it.
type job struct {
	engine profile.Role
	curve  bool // the planner's curve, in place of the workload
	id     string
	name   string // of its DGD
	entry  *entry // once there is one
	skip   string // why it is not measured; empty where it is
	times  times
}

func (j *job) String() string {
	what := string(j.engine.Name) + " " + j.engine.Parallelism.Label()
	if j.curve {
		what += " curve"
	}
	return what
}

// sweep is the work on one key.
type sweep struct {
	options  Options
	in       profile.Inputs
	modelDir string
	key      profile.Key
	deploy   Deployment
	model    profile.Model
	target   Target
	say      func(*job, string)
	meter    *meter

	mu    sync.Mutex
	tight map[profile.RoleName][]profile.Role // engines that ran out of memory
}

// ErrBudget and ErrDeadline are wrapped by the error of a Profile that ended because of
// a limit, which is nobody's fault.
var (
	ErrBudget   = errors.New("--max-gpu-hours is used up")
	ErrDeadline = errors.New("--deadline is over")
)

// measure gives every job its entry, or the reason why it is skipped. What ends the
// sweep early is an error; what was measured until then is in the journal.
func (s *sweep) measure(ctx context.Context, jobs []*job) error {
	var err error
	for _, j := range jobs {
		if j.id, err = s.id(j); err != nil {
			return err
		}
		j.name = "dpr-" + keyLabel(profile.Key(j.id))[:12]
		if err := s.recall(ctx, j); err != nil {
			return err
		}
		if j.entry != nil {
			s.say(j, "was measured before")
			s.meter.spent(j.entry.GPUSeconds)
			s.learn(j)
		}
		if j.entry != nil || j.skip != "" {
			s.ended(j, nil)
		}
	}
	if err := s.tidy(ctx, jobs); err != nil {
		return err
	}
	gpus := semaphore.NewWeighted(int64(s.options.MaxGPUs))
	group, working := errgroup.WithContext(ctx)
	for _, j := range largestFirst(jobs) {
		if j.entry != nil || j.skip != "" {
			continue
		}
		takes := int64(j.engine.GPUsPerEngine)
		if gpus.Acquire(working, takes) != nil {
			break // it is over; why is told below
		}
		if j.skip = s.dominated(j); j.skip != "" {
			s.say(j, "skipped: "+j.skip)
			s.ended(j, nil)
			gpus.Release(takes)
			continue
		}
		group.Go(func() error {
			defer gpus.Release(takes)
			return s.run(working, j)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// largestFirst orders what is still to be measured: an engine that runs out of memory
// prunes smaller ones, and smaller ones fill the gaps at the end.
func largestFirst(jobs []*job) []*job {
	return slices.SortedStableFunc(slices.Values(jobs), func(a, b *job) int {
		return b.engine.GPUsPerEngine - a.engine.GPUsPerEngine
	})
}

// tidy deletes what runners left, but for what this one goes on with.
func (s *sweep) tidy(ctx context.Context, jobs []*job) error {
	left, err := s.options.Cluster.leftovers(ctx, s.key, time.Now())
	if err != nil {
		return err
	}
	for _, dgd := range left {
		if slices.ContainsFunc(jobs, func(j *job) bool { return j.name == dgd.GetName() && j.entry == nil }) {
			continue
		}
		if err := s.options.Cluster.remove(ctx, dgd, true); err != nil {
			return err
		}
	}
	return nil
}

// learn notes an engine that ran out of memory.
func (s *sweep) learn(j *job) {
	if j.entry.Failure == nil || j.entry.Failure.Class != FailedOutOfMemory {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tight[j.engine.Name] = append(s.tight[j.engine.Name], j.engine)
}

// dominated is why a job cannot work: an engine of the same kind ran out of memory
// with as many GPUs, or more.
func (s *sweep) dominated(j *job) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.tight[j.engine.Name] {
		if kindOf(e.Parallelism) == kindOf(j.engine.Parallelism) && j.engine.GPUsPerEngine <= e.GPUsPerEngine {
			return fmt.Sprintf("%s ran out of memory on %d GPUs", e.Parallelism.Label(), e.GPUsPerEngine)
		}
	}
	return ""
}

// kindOf is how an engine splits a model: by tensors, by experts, or by experts with
// attention data parallelism.
func kindOf(p profile.Parallelism) string {
	return fmt.Sprint(p.DP > 1, p.MoEEP > 1)
}

// run measures one job from its deployment to the end of its pods.
func (s *sweep) run(ctx context.Context, j *job) (err error) {
	c := s.options.Cluster
	dgd, err := s.deploy(j.engine, s.model, j.name)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", j, err)
	}
	obj, err := c.prepare(dgd, s.key, s.expires())
	if err != nil {
		return err
	}
	j.times.start = time.Now()
	defer func() { s.ended(j, err) }()
	stop := s.meter.run(j.engine.GPUsPerEngine)
	s.say(j, "deploys")
	created, err := c.create(ctx, obj)
	if err == nil {
		j.times.created = time.Now()
		defer func() {
			j.times.deleting = time.Now()
			err = errors.Join(err, s.remove(ctx, created))
			j.times.end = time.Now()
			stop()
		}()
		j.entry, err = s.observe(ctx, j, created)
		j.times.observed = time.Now()
	} else {
		stop()
	}
	var failure *Failure
	if !errors.As(err, &failure) {
		if err != nil {
			return err
		}
	} else {
		s.say(j, "failed: "+failure.Error())
		j.entry = &entry{Schema: entrySchema, Engine: j.engine, Curve: j.curve, Failure: failure}
		if failure.common() {
			return fmt.Errorf("%s: %w; every candidate would fail like this", j, failure)
		}
		if !failure.final() {
			return nil
		}
	}
	j.entry.GPUSeconds = time.Since(j.times.start).Seconds() * float64(j.engine.GPUsPerEngine)
	s.learn(j)
	if err := s.keep(ctx, j); err != nil {
		return err
	}
	s.say(j, "is done, and kept")
	return nil
}

// remove deletes a candidate, and awaits the end of its pods where the sweep goes on.
// Of a key that was lost nothing is touched: it is another runner's now.
func (s *sweep) remove(ctx context.Context, obj *unstructured.Unstructured) error {
	if errors.Is(context.Cause(ctx), errLost) {
		return nil
	}
	if ctx.Err() == nil {
		return s.options.Cluster.remove(ctx, obj, true)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Grace)
	defer cancel()
	return s.options.Cluster.remove(ctx, obj, false)
}

func (s *sweep) expires() time.Time {
	most := s.options.Deadline
	if most == 0 {
		most = 24 * time.Hour
	}
	return time.Now().Add(most)
}
