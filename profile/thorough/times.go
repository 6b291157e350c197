package thorough

import (
	"fmt"
	"slices"
	"time"
)

// times are when a job passed its stations; zero for one that it did not come to.
type times struct {
	start, created, ready, observed, deleting, end time.Time
}

func (t *times) served() {
	t.ready = time.Now()
}

// criticalPath says what a sweep's duration was made of: the chain of jobs, each
// waiting for GPUs of the one before, that ended last.
func criticalPath(jobs []*job) string {
	var ran []*job
	for _, j := range jobs {
		if !j.times.end.IsZero() {
			ran = append(ran, j)
		}
	}
	if len(ran) == 0 {
		return ""
	}
	byEnd := func(a, b *job) int { return a.times.end.Compare(b.times.end) }
	last := slices.MaxFunc(ran, byEnd)
	var deploying, measuring time.Duration
	chain := 0
	for j := last; j != nil; chain++ {
		ready := j.times.ready
		if ready.IsZero() {
			ready = j.times.end
		}
		deploying += ready.Sub(j.times.start)
		measuring += j.times.end.Sub(ready)
		var before []*job
		for _, other := range ran {
			if other != j && !other.times.end.After(j.times.start) {
				before = append(before, other)
			}
		}
		j = nil
		if len(before) > 0 {
			j = slices.MaxFunc(before, byEnd)
		}
	}
	first := slices.MinFunc(ran, func(a, b *job) int { return a.times.start.Compare(b.times.start) })
	return fmt.Sprintf("%d candidates in %s; the longest chain of %d: %s until they served, %s measuring and deleting",
		len(ran), last.times.end.Sub(first.times.start).Round(time.Second), chain, deploying.Round(time.Second), measuring.Round(time.Second))
}
