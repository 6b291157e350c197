package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

type runner struct {
	opts     runOptions
	rapid    profiler
	thorough *measurer
	progress *progress
	now      *freshness
	locks    locks
}

// answer gives one request its result, in the store. A new one comes from profile,
// which requests with equal inputs share.
func (r *runner) answer(ctx context.Context, j job, profile func() (outcome, error)) outcome {
	if j.problem != nil {
		return outcome{job: j, err: j.problem}
	}
	if err := ctx.Err(); err != nil {
		return outcome{job: j, err: fmt.Errorf("%s: not started: %w", j.req.File, err)}
	}
	r.progress.start(j, r.opts.thorough.maxGPUHours)
	o, err := r.result(ctx, j, profile)
	o.job = j
	if err != nil {
		o.err = j.at(err)
	}
	return o
}

// pin writes the outcome into the lock, and returns it with what that came to. A hit
// that the lock has already is left out.
func (r *runner) pin(ctx context.Context, o outcome) outcome {
	if o.err != nil {
		return o
	}
	before, err := o.job.entry()
	if o.status == statusHit && err == nil && before == o.entry() {
		return o
	}
	locked := r.progress.stage(o.job, "lock")
	err = r.locks.pin(ctx, o.job.dir, o.entry())
	locked("", err)
	if err != nil {
		o.err = o.job.at(err)
	}
	return o
}

// result is the stored answer to the request, or a new one.
func (r *runner) result(ctx context.Context, j job, profile func() (outcome, error)) (outcome, error) {
	if r.opts.force {
		return profile()
	}
	store, err := r.open(j)
	if err != nil {
		return outcome{}, err
	}
	digest, res, err := r.lookup(ctx, store, j)
	if errors.Is(err, cache.ErrNotFound) {
		return profile()
	}
	if err != nil {
		return outcome{}, err
	}
	if r.opts.renew {
		v, err := r.now.of(ctx, res)
		if err != nil {
			return outcome{}, err
		}
		if len(v.reasons) > 0 {
			r.progress.step(res.Inputs, "is stale: "+strings.Join(v.reasons, "; "))
			return profile()
		}
	}
	o := outcome{status: statusHit, digest: digest, result: res}
	if before, err := locked(j); err != nil || before != digest {
		// Nothing in Git names it yet: a sweep must not take it for forgotten.
		if err := store.Touch(ctx, digest); err != nil {
			o.notes = append(o.notes, err.Error())
		}
	}
	return o, nil
}

// lookup is the stored result of the request.
func (r *runner) lookup(ctx context.Context, store *cache.Store, j job) (cache.Digest, *profile.Result, error) {
	looked := r.progress.stage(j, telemetry.Lookup)
	digest, res, err := stored(ctx, store, j)
	switch {
	case err == nil:
		looked(telemetry.Hit, nil)
	case errors.Is(err, cache.ErrNotFound):
		looked(telemetry.Miss, nil)
	default:
		looked(telemetry.Failed, err)
	}
	return digest, res, err
}

// profile makes a new result and stores it.
func (r *runner) profile(ctx context.Context, j job) (outcome, error) {
	store, err := r.open(j)
	if err != nil {
		return outcome{}, err
	}
	release, waited, err := r.claim(ctx, j)
	if err != nil {
		return outcome{}, err
	}
	defer release()
	if waited && !r.opts.force && !r.opts.renew {
		digest, res, err := r.lookup(ctx, store, j)
		if !errors.Is(err, cache.ErrNotFound) {
			return outcome{status: statusHit, digest: digest, result: res}, err
		}
	}
	started := time.Now()
	profiled := r.progress.stage(j, "profile")
	res, files, err := r.measureOrSimulate(ctx, j, store)
	profiled("", err)
	if err != nil {
		return outcome{}, err
	}
	pushed := r.progress.stage(j, "push")
	digest, err := r.opts.signing.put(ctx, store, res, files, started)
	pushed("", err)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{status: statusProfiled, digest: digest, result: res}
	if !r.opts.refresh {
		return o, nil
	}
	// The tag of a key stays where it is: what goes by key may not see the result.
	if first, err := store.Find(ctx, res.Inputs.Key()); err == nil && first != digest {
		o.outranked = first
	}
	return o, nil
}

// byInputs groups the jobs that one profile answers, and orders the groups so
// that those which need the same performance tables follow each other, and a
// worker loads them once.
func (r *runner) byInputs(jobs []job) [][]int {
	type group struct {
		tables string
		jobs   []int
	}
	groups := map[string]*group{}
	var order []*group
	for i, j := range jobs {
		id, tables := fmt.Sprint("unreadable ", i), ""
		if j.req != nil {
			in := j.req.Inputs()
			id, tables = r.ref(j)+" "+string(j.key), in.Hardware.System+" "+string(in.Backend)
		}
		if groups[id] == nil {
			groups[id] = &group{tables: tables}
			order = append(order, groups[id])
		}
		groups[id].jobs = append(groups[id].jobs, i)
	}
	slices.SortStableFunc(order, func(a, b *group) int { return strings.Compare(a.tables, b.tables) })
	alike := make([][]int, len(order))
	for i, g := range order {
		alike[i] = g.jobs
	}
	return alike
}
