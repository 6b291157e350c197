package thorough

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func dense(role profile.RoleName, tp int) profile.Role {
	return profile.Role{Name: role, Replicas: 1, GPUsPerEngine: tp, Parallelism: profile.Parallelism{TP: tp, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}}
}

func experts(role profile.RoleName, tp, dp int) profile.Role {
	return profile.Role{Name: role, Replicas: 1, GPUsPerEngine: tp * dp, Parallelism: profile.Parallelism{TP: tp, PP: 1, DP: dp, MoETP: 1, MoEEP: tp * dp}}
}

// An engine that ran out of memory takes with it those of its role and kind that have
// no more GPUs, and no others.
func TestDominated(t *testing.T) {
	s := &sweep{tight: map[profile.RoleName][]profile.Role{}}
	s.learn(&job{engine: experts(profile.RoleDecode, 1, 4), entry: &entry{Failure: &Failure{Class: FailedOutOfMemory}}})
	s.learn(&job{engine: dense(profile.RolePrefill, 8), entry: &entry{Failure: &Failure{Class: FailedCrash}}})
	for _, c := range []struct {
		engine profile.Role
		skip   string
	}{
		{experts(profile.RoleDecode, 1, 2), "tp1-dp4-moeep4 ran out of memory on 4 GPUs"},
		{experts(profile.RoleDecode, 1, 4), "tp1-dp4-moeep4 ran out of memory on 4 GPUs"},
		{experts(profile.RoleDecode, 1, 8), ""},
		{experts(profile.RoleDecode, 2, 1), ""}, // TEP
		{experts(profile.RolePrefill, 1, 2), ""},
		{dense(profile.RolePrefill, 4), ""}, // a crash says nothing of others
	} {
		require.Equal(t, c.skip, s.dominated(&job{engine: c.engine}), c.engine.Parallelism.Label())
	}
}

func TestLargestFirst(t *testing.T) {
	var order []string
	for _, j := range largestFirst([]*job{
		{engine: dense(profile.RolePrefill, 1)}, {engine: dense(profile.RolePrefill, 4)}, {engine: dense(profile.RoleDecode, 4)}, {engine: dense(profile.RoleDecode, 2)},
	}) {
		order = append(order, j.String())
	}
	require.Equal(t, []string{"prefill tp4", "decode tp4", "decode tp2", "prefill tp1"}, order)
}

// What decides a measurement decides its identity, and nothing else does.
func TestID(t *testing.T) {
	id := func(change func(*sweep, *job)) string {
		s, j := &sweep{key: "sha256:1", options: Options{Points: Points{Prefill: 16, Decode: 6}}}, &job{engine: dense(profile.RoleDecode, 2)}
		change(s, j)
		id, err := s.id(j)
		require.NoError(t, err)
		return id
	}
	same := id(func(*sweep, *job) {})
	require.Equal(t, same, id(func(s *sweep, j *job) { s.options.MaxGPUs, s.options.Identity, j.name = 4, "other", "dpr" }))
	for name, change := range map[string]func(*sweep, *job){
		"key":      func(s *sweep, _ *job) { s.key = "sha256:2" },
		"points":   func(s *sweep, _ *job) { s.options.Points.Decode = 3 },
		"replaces": func(s *sweep, _ *job) { s.options.Replaces = "sha256:3" },
		"role":     func(_ *sweep, j *job) { j.engine.Name = profile.RolePrefill },
		"args":     func(_ *sweep, j *job) { j.engine.Args = []string{"--x"} },
		"curve":    func(_ *sweep, j *job) { j.curve = true },
	} {
		require.NotEqual(t, same, id(change), name)
	}
}

func TestExplain(t *testing.T) {
	s := &sweep{options: Options{MaxGPUHours: 2, Deadline: time.Hour}, meter: newMeter(2)}
	s.meter.spent(7200)
	jobs := []*job{
		{entry: &entry{}}, {skip: "too large"}, {entry: &entry{Failure: &Failure{Class: FailedOutOfMemory}}},
		{entry: &entry{Failure: &Failure{Class: FailedReady}}}, {},
	}
	const rest = ": 3 of 5 candidates are done and kept; to go on with the rest: run again"
	require.EqualError(t, s.explain(ErrBudget, jobs), "--max-gpu-hours is used up (2.00 of 2.00 GPU hours)"+rest)
	require.EqualError(t, s.explain(ErrDeadline, jobs), "--deadline is over (1h0m0s)"+rest)
	require.EqualError(t, s.explain(fmt.Errorf("measuring: %w", context.Canceled), jobs), "interrupted"+rest)
	require.ErrorIs(t, s.explain(errLost, jobs), errLost)
}

// The meter ends a context when its GPU time is used up, earlier runs' included.
func TestMeter(t *testing.T) {
	m := newMeter(1)
	m.spent(3599)
	ctx, cancel := context.WithCancelCause(t.Context())
	go m.guard(ctx, cancel)
	stop := m.run(8)
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), ErrBudget)
	stop()
	used := m.total()
	require.GreaterOrEqual(t, used, 3600.0)
	require.Equal(t, used, m.total(), "what has stopped costs nothing")
}

func TestNoBudget(t *testing.T) {
	m := newMeter(0)
	m.spent(1e9)
	ctx, cancel := context.WithCancelCause(t.Context())
	m.guard(ctx, cancel) // returns at once
	require.NoError(t, ctx.Err())
}

// The chain that ended last: b waited for a, and c ran beside both.
func TestCriticalPath(t *testing.T) {
	at := func(minutes int) time.Time { return time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute) }
	a := &job{times: times{start: at(0), ready: at(10), end: at(12)}}
	b := &job{times: times{start: at(12), ready: at(20), end: at(30)}}
	c := &job{times: times{start: at(0), ready: at(5), end: at(25)}}
	never := &job{times: times{start: at(30), end: at(33)}}
	require.Equal(t, "3 candidates in 30m0s; the longest chain of 2: 18m0s until they served, 12m0s measuring and deleting", criticalPath([]*job{a, b, c, {}}))
	require.Equal(t, "1 candidates in 3m0s; the longest chain of 1: 3m0s until they served, 0s measuring and deleting", criticalPath([]*job{never}))
	require.Empty(t, criticalPath([]*job{{}}))
}

// Of candidates that all failed, the error tells each one's reason.
func TestNothingMeasured(t *testing.T) {
	s := &sweep{}
	_, err := s.result([]*job{
		{engine: dense(profile.RolePrefill, 1), entry: &entry{Points: []point{{Load: PrefillLoad(1000, 1), Measurement: Measurement{MedianTTFTMillis: 10}}}}},
		{engine: dense(profile.RoleDecode, 1), entry: &entry{Failure: &Failure{Class: FailedOutOfMemory, Message: "pod p", Log: "1\n2\n3\n4\n5\n6\n"}}},
		{engine: dense(profile.RoleDecode, 2), skip: "takes 2 GPUs, more than the 1 that may be used"},
	}, &profile.Engines{})
	require.EqualError(t, err, "no decode engine could be measured:\n\tdecode tp1: out of memory: pod p\n\t\t2\n\t\t3\n\t\t4\n\t\t5\n\t\t6\n\tdecode tp2: takes 2 GPUs, more than the 1 that may be used")
}

// An operation is tried again until there is a considered answer.
func TestPersist(t *testing.T) {
	calls := 0
	err := persist(t.Context(), func(context.Context) error {
		calls++
		if calls == 1 {
			return errors.New("connection refused")
		}
		return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "p")
	})
	require.True(t, apierrors.IsNotFound(err))
	require.Equal(t, 2, calls)

	ctx, cancel := context.WithCancelCause(t.Context())
	err = persist(ctx, func(context.Context) error {
		cancel(errLost)
		return errors.New("connection refused")
	})
	require.ErrorIs(t, err, errLost)
}
