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
	locks    map[string]*cache.Lock // as they were when the run began, by directory
}

// answer gives one request its result, in the store and in the lock. A new one
// comes from profile, which requests with equal inputs share.
func (r *runner) answer(ctx context.Context, j job, profile func() (outcome, error)) outcome {
	if j.problem != nil {
		return outcome{job: j, err: j.problem}
	}
	if err := ctx.Err(); err != nil {
		return outcome{job: j, err: fmt.Errorf("%s: not started: %w", j.req.File, err)}
	}
	key := j.req.Inputs().Key()
	r.progress.start(j, r.opts.thorough.maxGPUHours)
	if o, ok := r.settled(ctx, j, key); ok {
		return o
	}
	o, err := r.result(ctx, j, key, profile)
	o.job = j
	if err != nil {
		o.err = fmt.Errorf("%s:%d: request %q: %w", j.req.File, j.req.Line, j.req.Name, err)
		return o
	}
	locked := r.progress.stage(j, "lock")
	err = cache.UpdateLock(ctx, j.dir, []cache.LockEntry{o.entry()})
	locked("", err)
	if err != nil {
		o.err = fmt.Errorf("%s:%d: request %q: %w", j.req.File, j.req.Line, j.req.Name, err)
	}
	return o
}

// settled is the answer of a request whose lock entry said at the beginning all that
// there is to say: nothing is written, and a lock of a thousand entries is not read
// for each of them.
func (r *runner) settled(ctx context.Context, j job, key profile.Key) (outcome, bool) {
	lock := r.locks[j.dir]
	if r.opts.force || r.opts.renew || lock == nil {
		return outcome{}, false
	}
	entry, ok := lock.Entry(j.req.Name)
	if !ok || entry.Key != key || entry.Estimate {
		return outcome{}, false
	}
	store, err := r.open(j)
	if err != nil {
		return outcome{}, false
	}
	looked := r.progress.stage(j, telemetry.Lookup)
	res, err := store.Get(ctx, entry.Result)
	if err != nil {
		looked(telemetry.Miss, nil)
		return outcome{}, false // the usual way says why
	}
	looked(telemetry.Hit, nil)
	o := outcome{job: j, status: statusHit, digest: entry.Result, result: res}
	entry.Select = 0 // is not of the run's making
	return o, entry == o.entry()
}

// readLocks are the locks of the jobs' directories. What cannot be read is said
// where it is needed.
func readLocks(jobs []job) map[string]*cache.Lock {
	locks := map[string]*cache.Lock{}
	for _, j := range jobs {
		if _, read := locks[j.dir]; !read && j.problem == nil {
			locks[j.dir], _ = j.lock()
		}
	}
	return locks
}

// result is the stored answer to the request, or a new one.
func (r *runner) result(ctx context.Context, j job, key profile.Key, profile func() (outcome, error)) (outcome, error) {
	if !r.opts.force {
		store, err := r.open(j)
		if err != nil {
			return outcome{}, err
		}
		digest, res, err := r.lookup(ctx, store, j, key)
		if err == nil && r.opts.renew {
			v, err := r.now.of(ctx, res)
			if err != nil {
				return outcome{}, err
			}
			if len(v.reasons) > 0 {
				r.progress.step(res.Inputs, "is stale: "+strings.Join(v.reasons, "; "))
				return profile()
			}
		}
		if err == nil {
			o := outcome{status: statusHit, digest: digest, result: res}
			if before, err := locked(j, key); err != nil || before != digest {
				// Nothing in Git names it yet: a sweep must not take it for forgotten.
				if err := store.Touch(ctx, digest); err != nil {
					o.notes = append(o.notes, err.Error())
				}
			}
			return o, nil
		}
		if !errors.Is(err, cache.ErrNotFound) {
			return outcome{}, err
		}
	}
	return profile()
}

// lookup is the stored result of the key.
func (r *runner) lookup(ctx context.Context, store *cache.Store, j job, key profile.Key) (cache.Digest, *profile.Result, error) {
	looked := r.progress.stage(j, telemetry.Lookup)
	digest, res, err := stored(ctx, store, j, key)
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
		digest, res, err := r.lookup(ctx, store, j, j.req.Inputs().Key())
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
			id, tables = r.ref(j)+" "+string(in.Key()), in.Hardware.System+" "+string(in.Backend)
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
