package thorough

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// A candidate tells how far it came, how long that took, and what it cost.
func TestCandidate(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(1000+seconds), 0) }
	engine := dense(profile.RoleDecode, 2)
	failure := &Failure{Class: FailedCrash, Message: "pod x"}
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		job  job
		err  error
		want Candidate
	}{
		"measured": {job: job{entry: &entry{}, times: times{at(0), at(1), at(5), at(9), at(10), at(12)}}, want: Candidate{Outcome: "measured", GPUSeconds: 24,
			Phases: []Phase{{"deploy", at(0), at(1)}, {"ready", at(1), at(5)}, {"measure", at(5), at(9)}, {"delete", at(10), at(12)}}}},
		"never ready": {job: job{entry: &entry{Failure: failure}, times: times{start: at(0), created: at(1), observed: at(8), deleting: at(8), end: at(9)}}, want: Candidate{Outcome: "failed", Err: failure, GPUSeconds: 18,
			Phases: []Phase{{"deploy", at(0), at(1)}, {"ready", at(1), at(8)}, {"delete", at(8), at(9)}}}},
		"interrupted": {job: job{times: times{start: at(0), created: at(1), observed: at(2), deleting: at(2), end: at(3)}}, err: lost, want: Candidate{Outcome: "interrupted", Err: lost, GPUSeconds: 6,
			Phases: []Phase{{"deploy", at(0), at(1)}, {"ready", at(1), at(2)}, {"delete", at(2), at(3)}}}},
		"recalled": {job: job{entry: &entry{GPUSeconds: 7}}, want: Candidate{Outcome: "recalled", GPUSeconds: 7}},
		"skipped":  {job: job{skip: "too large"}, want: Candidate{Outcome: "skipped", Err: errors.New("too large")}},
	} {
		c.job.engine, c.want.Name = engine, "decode tp2"
		require.Equal(t, c.want, candidateOf(&c.job, c.err), name)
	}
}
