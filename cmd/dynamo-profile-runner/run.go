package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

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
		Use:   "run [PATH...]",
		Short: "Answer every request below the paths",
		Long: `run finds the DGDRs in the given files, directories and everything below them (but
hidden directories and testdata), and gives each a profiling result: the one that is
locked, or that the store has for its key, or a new one. Every result is pushed to
the store and pinned in the dynamo.lock beside its DGDR. What fails stops no other
request.

With --repo it works on a clone of its own. With --push-branch the locks, and the
results where the repository keeps them, are pushed as a commit to that branch, whose
message says what changed; the branch is made where it is missing, and never forced.
git does it, so that its configuration, credentials and signing apply.

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
  # a CronJob: what main asks for, answered on a branch to review
  dynamo-profile-runner run --repo https://git.example.com/inference/gitops-repo.git --branch main \
    --push-branch dynamo-profiles --store registry.example.com/dynamo/profiles

  # profile again although there is a result, after an upgrade of AIConfigurator
  dynamo-profile-runner run apps/llama-70b --force`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && o.remote.repo == "" && os.Getenv("DYNAMO_CMP_REPO") == "" {
				return &usageError{errors.New("run needs a path; to profile everything below the working directory: dynamo-profile-runner run .")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			progress := progressOf(cmd)
			watchers := o.watch(cmd.Context(), progress)
			err := answerAll(cmd, args, o, progress)
			watchers.end(cmd.Context(), o, err)
			return err
		},
	}
	o.add(cmd.Flags())
	return cmd
}

// answerAll is run from the paths to the report.
func answerAll(cmd *cobra.Command, args []string, o runOptions, progress *progress) error {
	ctx := cmd.Context()
	if err := o.signing.load(); err != nil {
		return err
	}
	applications, err := newRefresher(o)
	if err != nil {
		return err
	}
	repository, args, err := openRemote(ctx, o, args)
	if err != nil {
		return err
	}
	defer repository.end()
	o.modelConfigs = repository.below(o.modelConfigs)
	jobs, findErr := findJobs(ctx, args)
	findErr = repository.plainErrors(findErr)
	if jobs, err = o.share(jobs); err != nil {
		return err
	}
	if o.dryRun {
		return errors.Join(findErr, dryRun(ctx, cmd.OutOrStdout(), jobs, o))
	}
	outcomes := run(ctx, jobs, o, progress)
	pushErr := repository.publish(ctx, progress, outcomes)
	refreshErr := applications.refresh(ctx, outcomes)
	if err := printOutcomes(cmd.OutOrStdout(), progress, o.output, outcomes); err != nil {
		return err
	}
	return errors.Join(findErr, failed(outcomes), pushErr, refreshErr)
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
	r := runner{opts: o, rapid: rapidProfiler, thorough: measurer, progress: progress,
		now: &freshness{installed: rapidProfiler.Installed, image: imageDigests}}
	if o.estimate {
		jobs = r.estimates(ctx, jobs)
	}
	outcomes := make([]outcome, len(jobs))
	progress.total(len(jobs))
	var answers errgroup.Group
	answers.SetLimit(o.jobs)
	var pins sync.WaitGroup // of any number, for they wait for each other
	for _, alike := range r.byInputs(jobs) {
		answers.Go(func() error {
			profile := sync.OnceValues(func() (outcome, error) { return r.profile(ctx, jobs[alike[0]]) })
			for _, i := range alike {
				answered := r.answer(ctx, jobs[i], profile)
				pins.Go(func() {
					outcomes[i] = r.pin(ctx, answered)
					progress.finish(ctx, outcomes[i])
				})
			}
			return nil
		})
	}
	answers.Wait() // failures are outcomes
	pins.Wait()
	return outcomes
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
