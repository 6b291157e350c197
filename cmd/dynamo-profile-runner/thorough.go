package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/rapid"
	"github.com/dynamo-cmp/dynamo-cmp/profile/thorough"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// thoroughOptions say where candidates are measured and what that may cost.
type thoroughOptions struct {
	namespace   string
	aiperf      string
	maxGPUs     int
	maxGPUHours float64
	deadline    time.Duration
	timeouts    thorough.Timeouts
	lease       time.Duration
	grace       time.Duration
	points      thorough.Points
}

func (o *thoroughOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.namespace, "namespace", "", "where candidates of searchStrategy thorough are deployed (default: the runner's own, or that of the kubeconfig)")
	flags.IntVar(&o.maxGPUs, "max-gpus", 0, "GPUs that candidates may take at once (default: hardware.totalGpus of the request)")
	flags.Float64Var(&o.maxGPUHours, "max-gpu-hours", 0, "GPU hours after which a sweep ends, those of earlier runs on the same key included (default: no limit)")
	flags.DurationVar(&o.deadline, "deadline", 0, "time after which a sweep ends (default: none)")
	flags.DurationVar(&o.timeouts.Schedule, "schedule-timeout", 15*time.Minute, "time that a candidate waits for nodes")
	flags.DurationVar(&o.timeouts.Ready, "ready-timeout", time.Hour, "time from there until it serves; an image that cannot be pulled for a thirtieth of it ends the sweep")
	flags.DurationVar(&o.lease, "lease-duration", 2*time.Minute, "time that a key stays with a runner that is gone; one that cannot reach the API server for three quarters of it gives up")
	flags.DurationVar(&o.grace, "grace-period", 20*time.Second, "time to delete candidates in when the runner is stopped; less than its pod's terminationGracePeriodSeconds")
	flags.IntVar(&o.points.Decode, "decode-points", thorough.DecodePoints, "concurrencies at which a decode engine is measured; and input lengths of the planner's decode curve")
	flags.IntVar(&o.points.Prefill, "prefill-points", thorough.PrefillPoints, "input lengths of the planner's prefill curve")
	flags.StringVar(&o.aiperf, "aiperf", "aiperf", "the aiperf command")
}

func (o *thoroughOptions) check() error {
	for name, n := range map[string]float64{"max-gpus": float64(o.maxGPUs), "max-gpu-hours": o.maxGPUHours, "deadline": float64(o.deadline)} {
		if n < 0 {
			return &usageError{fmt.Errorf("--%s: must not be negative", name)}
		}
	}
	for name, d := range map[string]time.Duration{"schedule-timeout": o.timeouts.Schedule, "ready-timeout": o.timeouts.Ready, "lease-duration": o.lease, "grace-period": o.grace} {
		if d < time.Second {
			return &usageError{fmt.Errorf("--%s: must be at least 1s, is %s", name, d)}
		}
	}
	if o.points.Decode < 2 || o.points.Prefill < 5 {
		return &usageError{errors.New("--decode-points: must be at least 2, and --prefill-points at least 5, of which the planner fits its curves")}
	}
	return nil
}

// measurer answers requests by measurement. The cluster is reached when it is first
// needed.
type measurer struct {
	options  thoroughOptions
	rapid    *rapid.Profiler
	progress *progress
	cluster  func() (*thorough.Cluster, error)
	close    func() // ends what was started
}

func newMeasurer(ctx context.Context, o thoroughOptions, r *rapid.Profiler, p *progress) *measurer {
	m := &measurer{options: o, rapid: r, progress: p, close: func() {}}
	m.cluster = sync.OnceValues(func() (*thorough.Cluster, error) {
		c, err := openCluster(ctx, o.namespace)
		if err == nil {
			m.close = c.Close
		}
		return c, err
	})
	return m
}

// openCluster reaches the cluster that KUBECONFIG, the usual file, or the pod's own
// service account names.
func openCluster(ctx context.Context, namespace string) (*thorough.Cluster, error) {
	config, own, err := clusterConfig("", "")
	if err != nil {
		return nil, fmt.Errorf("searchStrategy thorough deploys candidates on a cluster: %w; for a simulated answer: spec.searchStrategy: rapid", err)
	}
	config.Timeout = 0 // it would end the watches
	if namespace == "" {
		namespace = own
	}
	pod := ""
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		if pod, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("finding the runner's own pod: %w", err)
		}
	}
	return thorough.NewCluster(ctx, config, namespace, pod)
}

// profile measures a request. replaces is the result that is to be measured again, or
// empty.
func (m *measurer) profile(ctx context.Context, req *profile.Request, store *cache.Store, replaces cache.Digest) (*profile.Result, []profile.File, error) {
	cluster, err := m.cluster()
	if err != nil {
		return nil, nil, err
	}
	o := m.options
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	p := thorough.New(thorough.Options{
		Cluster: cluster, AIPerf: &thorough.AIPerf{Command: []string{o.aiperf}}, Journal: journal{store}, Engines: m.rapid.Engines, Predict: m.rapid.Predict,
		Points: o.points, Timeouts: o.timeouts, MaxGPUs: o.maxGPUs, MaxGPUHours: o.maxGPUHours, Deadline: o.deadline,
		Lease: o.lease, Identity: host + "_" + strconv.Itoa(os.Getpid()), Grace: o.grace, Replaces: string(replaces),
		Progress: m.progress.step, Ended: m.progress.candidate,
	})
	return p.Profile(ctx, req.Inputs(), modelDir(req), func(engine profile.Role, model profile.Model, name string) (map[string]any, error) {
		return render.SingleEngine(req, model, engine, name)
	})
}

// measureOrSimulate answers a request as its search strategy wants it.
func (r *runner) measureOrSimulate(ctx context.Context, j job, store *cache.Store) (*profile.Result, []profile.File, error) {
	in := j.req.Inputs()
	if in.Strategy != profile.StrategyThorough {
		return r.rapid.Profile(ctx, in, modelDir(j.req))
	}
	var replaces cache.Digest
	if r.opts.force || r.opts.renew {
		digest, _, err := stored(ctx, store, j)
		if err != nil && !errors.Is(err, cache.ErrNotFound) {
			return nil, nil, err
		}
		replaces = digest
	}
	return r.thorough.profile(ctx, j.req, store, replaces)
}

// estimates replaces requests that ask for a measurement, and have none, by those that
// a simulation may answer in the meantime.
func (r *runner) estimates(ctx context.Context, jobs []job) []job {
	jobs = slices.Clone(jobs)
	for i, j := range jobs {
		if j.req == nil || j.req.Spec.SearchStrategy != profile.StrategyThorough {
			continue
		}
		if store, err := r.open(j); err == nil {
			if digest, res, err := stored(ctx, store, j); err == nil {
				jobs[i].found = &named{store: store, digest: digest, result: res}
				continue // measured
			}
		}
		jobs[i] = j.with(j.req.Estimated())
		jobs[i].asked = j.key
	}
	return jobs
}

// journal keeps measurements in the store of the results.
type journal struct{ store *cache.Store }

func (j journal) Load(ctx context.Context, id string) ([]byte, []profile.File, bool, error) {
	entry, files, err := j.store.Measurement(ctx, cache.Digest(id))
	if errors.Is(err, cache.ErrNotFound) {
		return nil, nil, false, nil
	}
	return entry, files, err == nil, err
}

func (j journal) Save(ctx context.Context, id string, entry []byte, files []profile.File) error {
	return j.store.PutMeasurement(ctx, cache.Digest(id), entry, files)
}
