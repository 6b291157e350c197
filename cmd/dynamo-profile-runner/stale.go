package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/rapid"
)

// What a locked result is.
const (
	stateFresh    = "fresh"
	stateStale    = "stale"
	stateUnlocked = "not locked"
	stateFailed   = "failed"
)

// staleError says that results are stale, which has an exit status of its own.
type staleError struct{ stale, of int }

func (e *staleError) Error() string {
	return fmt.Sprintf("%d of %d results are stale; to make new ones: dynamo-profile-runner run --refresh", e.stale, e.of)
}

type staleOptions struct {
	store, python, output string
	modelConfigs          []string
	hub, reprofile        bool
}

func newStaleCommand() *cobra.Command {
	var o staleOptions
	cmd := &cobra.Command{
		Use:   "stale PATH...",
		Short: "Tell which locked results would come out differently now",
		Long: `stale compares the result that each DGDR below the paths has locked with what a new
one would be made of: the request and its hardware file, AIConfigurator and its
performance tables, and for measured results what the tag of the runtime image means
now. It changes nothing: a result stays valid, and rendered, until its lock moves.

stdout gets the table; what could not be compared goes to stderr. Exit status: 0 none
is stale, 1 a request or a result cannot be read, 2 bad input, 3 at least one is stale.`,
		Example: `  # after an upgrade of AIConfigurator: what changes, and by how much
  dynamo-profile-runner stale . --reprofile

  # then the new results, on a branch to review
  dynamo-profile-runner run . --refresh --push-branch dynamo-profiles`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("stale needs a path; for everything below the working directory: dynamo-profile-runner stale .")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json"}, o.output) {
				return &usageError{fmt.Errorf("--output: unknown value %q, want text or json", o.output)}
			}
			jobs, findErr := findJobs(cmd.Context(), args)
			rows := o.examine(cmd.Context(), jobs)
			if err := printStates(cmd.OutOrStdout(), progressOf(cmd), rows, o.output); err != nil {
				return err
			}
			return errors.Join(findErr, verdictOf(rows))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.store, "store", "", "where the results are, as for run")
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.StringVar(&o.python, "python", defaultPython(), "a Python that has AIConfigurator installed")
	flags.StringSliceVar(&o.modelConfigs, "model-config", nil, "directories with config.json files, as for run")
	flags.BoolVar(&o.hub, "hub", false, "ask the Hugging Face Hub whether a model has moved on from the snapshot that a request names")
	flags.BoolVar(&o.reprofile, "reprofile", false, "simulate stale results again, without storing anything, and show what becomes of them")
	return cmd
}

// state is a locked result compared.
type state struct {
	Request    string             `json:"request"`
	Path       string             `json:"path"`
	State      string             `json:"state"`
	Digest     cache.Digest       `json:"digest,omitempty"`
	Confidence profile.Confidence `json:"confidence,omitempty"`
	Reasons    []string           `json:"reasons,omitempty"`
	Impact     string             `json:"impact,omitempty"` // of a new result
	Unknown    []string           `json:"notCompared,omitempty"`
	Error      string             `json:"error,omitempty"`

	job job
}

// examine compares the locked result of each job.
func (o staleOptions) examine(ctx context.Context, jobs []job) []state {
	simulator := rapid.New(rapid.Options{Python: o.python, ModelConfigs: o.modelConfigs, Jobs: 1})
	defer simulator.Close()
	now := &freshness{installed: simulator.Installed, image: imageDigests}
	if o.hub {
		now.revision = hubRevision
	}
	r := &runner{opts: runOptions{store: o.store}, rapid: simulator}
	states := []state{}
	for _, j := range jobs {
		s := state{Path: j.rel, State: stateFailed, job: j}
		if j.req != nil {
			s.Request, s.Path = j.req.Name, j.req.File
		}
		err := j.problem
		if err == nil {
			if err = o.compare(ctx, &s, r, j, now); err != nil {
				err = j.at(err)
			}
		}
		if err != nil {
			s.State, s.Error = stateFailed, err.Error()
		}
		states = append(states, s)
	}
	return states
}

func (o staleOptions) compare(ctx context.Context, s *state, r *runner, j job, now *freshness) error {
	lock, err := j.lock()
	if err != nil {
		return err
	}
	entry, ok := lock.Entry(j.req.Name)
	if !ok {
		s.State = stateUnlocked
		return nil
	}
	s.Digest, s.Confidence = entry.Result, entry.Confidence
	store, err := r.open(j)
	if err != nil {
		return err
	}
	res, err := store.Get(ctx, entry.Result)
	if err != nil {
		return err
	}
	v := verdict{}
	for _, changed := range profile.Changes(res.Inputs, j.req.Inputs()) {
		v.reason("asked for %s", changed)
	}
	compared, err := now.of(ctx, res)
	if err != nil {
		return err
	}
	s.Reasons, s.Unknown, s.State = append(v.reasons, compared.reasons...), compared.unknown, stateFresh
	if len(s.Reasons) == 0 {
		return nil
	}
	s.State = stateStale
	if o.reprofile {
		s.Impact = o.impact(ctx, r.rapid, j, res)
	}
	return nil
}

// impact says what a new result would be.
func (o staleOptions) impact(ctx context.Context, p profiler, j job, old *profile.Result) string {
	in := j.req.Inputs()
	if in.Strategy != profile.StrategyRapid {
		return "is measured: dynamo-profile-runner run " + j.req.File + " --refresh"
	}
	res, _, err := p.Profile(ctx, in, modelDir(j.req))
	if err != nil {
		return "has no result any more: " + err.Error()
	}
	return difference(old, res)
}

func printStates(stdout io.Writer, progress *progress, states []state, output string) error {
	if output == "json" {
		return printJSON(stdout, states)
	}
	tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "REQUEST\tSTATE\tCONFIDENCE\tWHY")
	for _, s := range states {
		name := s.Request
		if name == "" {
			name = s.Path
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", name, s.State, orDash(string(s.Confidence)), orDash(strings.Join(s.Reasons, "; ")))
		if s.Impact != "" {
			fmt.Fprintf(tw, "\t\t\tagain: %s\n", s.Impact)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, s := range states {
		for _, what := range s.Unknown {
			progress.warn(requestOf(s.job), fmt.Sprintf("%s: not compared: %s", s.Path, what))
		}
	}
	return nil
}

// verdictOf is the error of the states: what cannot be read first, then what is stale.
func verdictOf(states []state) error {
	var errs []error
	stale := 0
	for _, s := range states {
		switch s.State {
		case stateFailed:
			errs = append(errs, errors.New(s.Error))
		case stateStale:
			stale++
		}
	}
	if len(errs) == 0 && stale > 0 {
		return &staleError{stale, len(states)}
	}
	return errors.Join(errs...)
}
