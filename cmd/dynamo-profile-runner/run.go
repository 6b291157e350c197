package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/rapid"
)

// A profiler answers inputs. modelDir is a local directory whose config.json
// describes the model, or empty.
type profiler interface {
	Profile(ctx context.Context, in profile.Inputs, modelDir string) (*profile.Result, []profile.File, error)
}

func newRunCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run PATH...",
		Short: "Answer every request below the paths",
		Long: `run finds the DGDRs in the given files, directories and everything below them (but
hidden directories and testdata), and gives each a profiling result: the one that is
locked, or that the store has for its key, or a new one. Every result is pushed to
the store and pinned in the dynamo.lock beside its DGDR. What fails stops no other
request.

stdout gets the table of results; progress and errors go to stderr.`,
		Example: `  # one application; commit the dynamo.lock that this writes
  dynamo-profile-runner run apps/llama-70b

  # everything in the repository, two simulations at a time, results in a registry
  dynamo-profile-runner run . --jobs 2 --store registry.example.com/dynamo/profiles

  # a model that AIConfigurator does not ship: DIR/<org>/<name>/config.json
  dynamo-profile-runner run apps/llama-70b --model-config platform/model-configs

  # where the plugin finds results by key: have Argo CD render again when one landed
  dynamo-profile-runner run . --store registry.example.com/dynamo/profiles --refresh-applications

  # searchStrategy thorough: what would be measured, and then the night in which it is
  dynamo-profile-runner run apps/llama-70b --dry-run
  dynamo-profile-runner run apps/llama-70b --namespace profiling --max-gpu-hours 100 --deadline 8h

  # signed, for renderers that trust the key only: COSIGN_PASSWORD decrypts it
  dynamo-profile-runner run apps/llama-70b --signing-key cosign.key

  # profile again although there is a result, after an upgrade of AIConfigurator
  dynamo-profile-runner run apps/llama-70b --force`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("run needs a path; to profile everything below the working directory: dynamo-profile-runner run .")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if err := o.signing.load(); err != nil {
				return err
			}
			applications, err := newRefresher(o)
			if err != nil {
				return err
			}
			jobs, findErr := findJobs(cmd.Context(), args)
			if o.dryRun {
				return errors.Join(findErr, dryRun(cmd.Context(), cmd.OutOrStdout(), jobs, o))
			}
			progress := newProgress(cmd.ErrOrStderr())
			outcomes := run(cmd.Context(), jobs, o, progress)
			progress.close()
			refreshErr := applications.refresh(cmd.Context(), outcomes)
			if err := report(cmd.OutOrStdout(), cmd.ErrOrStderr(), o.output, outcomes); err != nil {
				return err
			}
			return errors.Join(findErr, failed(outcomes), refreshErr)
		},
	}
	o.add(cmd.Flags())
	return cmd
}

// run answers the jobs, at most o.jobs at once, and returns their outcomes in the
// order of the jobs.
func run(ctx context.Context, jobs []job, o runOptions, progress *progress) []outcome {
	rapidProfiler := rapid.New(rapid.Options{
		Python:       o.python,
		ModelConfigs: o.modelConfigs,
		Jobs:         o.jobs,
		Progress:     progress.step,
	})
	defer rapidProfiler.Close()
	measurer := newMeasurer(ctx, o.thorough, rapidProfiler, progress)
	defer func() { measurer.close() }()
	r := runner{opts: o, rapid: rapidProfiler, thorough: measurer, progress: progress}
	if o.estimate {
		jobs = r.estimates(ctx, jobs)
	}
	outcomes := make([]outcome, len(jobs))
	progress.total(len(jobs))
	var group errgroup.Group
	group.SetLimit(o.jobs)
	for _, alike := range r.byInputs(jobs) {
		group.Go(func() error {
			profile := sync.OnceValues(func() (outcome, error) { return r.profile(ctx, jobs[alike[0]]) })
			for _, i := range alike {
				outcomes[i] = r.answer(ctx, jobs[i], profile)
				progress.finish(outcomes[i])
			}
			return nil
		})
	}
	group.Wait() // failures are outcomes
	return outcomes
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

// failed is the error that says how many requests have no result, or nil.
func failed(outcomes []outcome) error {
	n := 0
	for _, o := range outcomes {
		if o.err != nil {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d without a result", n, len(outcomes))
}

type runner struct {
	opts     runOptions
	rapid    profiler
	thorough *measurer
	progress *progress
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
	r.progress.start(key, j.req.Name)
	o, err := r.result(ctx, j, key, profile)
	o.job = j
	if err != nil {
		o.err = fmt.Errorf("%s:%d: request %q: %w", j.req.File, j.req.Line, j.req.Name, err)
		return o
	}
	if err := cache.UpdateLock(ctx, j.dir, []cache.LockEntry{newEntry(&o)}); err != nil {
		o.err = fmt.Errorf("%s:%d: request %q: %w", j.req.File, j.req.Line, j.req.Name, err)
	}
	return o
}

// result is the stored answer to the request, or a new one.
func (r *runner) result(ctx context.Context, j job, key profile.Key, profile func() (outcome, error)) (outcome, error) {
	if !r.opts.force {
		store, err := r.open(j)
		if err != nil {
			return outcome{}, err
		}
		digest, res, err := stored(ctx, store, j, key)
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

// profile makes a new result and stores it.
func (r *runner) profile(ctx context.Context, j job) (outcome, error) {
	store, err := r.open(j)
	if err != nil {
		return outcome{}, err
	}
	started := time.Now()
	res, files, err := r.measureOrSimulate(ctx, j, store)
	if err != nil {
		return outcome{}, err
	}
	digest, err := r.opts.signing.put(ctx, store, res, files, started)
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
