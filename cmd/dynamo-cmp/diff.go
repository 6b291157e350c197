package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/review"
)

// exitChanged is the status of a diff that found a difference, as scripts know it of
// such tools; an error of diff is 1, whatever it is, to be told from it.
const exitChanged = 2

// diffOptions say what is compared and how it is shown.
type diffOptions struct {
	options

	base, head string
	output     string
	prices     string
	failOn     []string
}

func newDiffCommand() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff [PATH]",
		Short: "Say what a change does to what is deployed",
		Long: `diff renders the directories with DGDRs at and below PATH (default: the repository) in
two revisions, and says what differs: for each request its deployment, GPUs and nodes,
latency and throughput against the SLA, confidence, cost, why it changed and what a
rollout restarts; then each object, field by field. It reads the objects of Git:
nothing is checked out. Only directories are rendered whose files differ.

--head is the worktree as it is, unless it is given. --base is where that left the
default branch of the remote origin; without one, it is HEAD. Results are read from
the store that the revision carries, else from that of the worktree or --store.

What Secrets hold is never printed.

A file of prices for --prices:

  apiVersion: dynamo-cmp.github.io/v1
  kind: Prices
  currency: USD
  gpuHour:            # by gpuSku
    h200_sxm: 3.50

--fail-on refuses requests that the change adds or alters, as they are in head:
naive, imported, estimated and simulated are confidences, estimate is a result that stands in
for a measurement, sla-missed a target that is missed or was never looked at, gpus>N
the GPUs of a request, cost>N its price per hour.

Exit status: 0 nothing changes, 1 error, 2 something changes, 6 refused by --fail-on.
An app that cannot be rendered is an error, which is shown, and the others with it.`,
		Example: `  # before a commit: what did I change?
  dynamo-cmp diff

  # in CI, for a comment on the pull request
  dynamo-cmp diff --base origin/main --head HEAD --output markdown > comment.md

  # refuse what was never measured or takes more than 64 GPUs
  dynamo-cmp diff --head HEAD --fail-on 'naive,estimated,gpus>64'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, done, err := o.start(cmd.Context())
			if err != nil {
				return failed(err)
			}
			defer done()
			return o.print(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), directory(args), len(args) > 0)
		},
	}
	failsWithOne(cmd)
	flags := cmd.Flags()
	o.flags(flags)
	flags.Lookup("timeout").DefValue = "10m0s"
	o.timeout = 10 * time.Minute
	flags.StringVar(&o.base, "base", "", "revision to compare with (empty: where the head left origin's default branch, else HEAD)")
	flags.StringVar(&o.head, "head", "", "revision that is compared (empty: the worktree)")
	flags.StringVar(&o.prices, "prices", "", "file with the price of a GPU hour, by gpuSku")
	flags.StringSliceVar(&o.failOn, "fail-on", nil, "what a changed request may not be: naive,imported,estimated,simulated,estimate,sla-missed,gpus>N,cost>N")
	flags.StringVarP(&o.output, "output", "o", "text", "text, markdown or json")
	return cmd
}

// failsWithOne has a wrong command line of diff and of upgrade end with 1 and not with
// the root's status, as 2 is a difference.
func failsWithOne(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error { return failed(oneDirectory(cmd, args)) }
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return failed(flagsFromEnvironment(cmd.Flags())) }
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failed(fmt.Errorf("%w; to see the flags: %s --help", err, cmd.CommandPath()))
	})
}

// failed is an error of diff: its status says that nothing was compared.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &codedError{exitInternal, errors.New(err.Error())}
}

func (o *diffOptions) print(ctx context.Context, out, errOut io.Writer, at string, given bool) error {
	if !slices.Contains([]string{"text", "markdown", "json"}, o.output) {
		return failed(fmt.Errorf("--output: unknown value %q, want text, markdown or json", o.output))
	}
	prices, gate, err := o.policy()
	if err != nil {
		return failed(err)
	}
	r, err := o.review(ctx, at, given, prices)
	if err != nil {
		return failed(err)
	}
	r.Violations = gate.Violations(r.Apps)
	text, err := o.shown(r, out)
	if err != nil {
		return failed(err)
	}
	if _, err := io.WriteString(out, text); err != nil {
		return failed(fmt.Errorf("printing: %w", err))
	}
	return verdict(r, errOut)
}

// policy reads the prices and the gate.
func (o *diffOptions) policy() (*review.Prices, *review.Gate, error) {
	gate, err := review.ParseGate(o.failOn)
	if err != nil {
		return nil, nil, fmt.Errorf("--fail-on: %w", err)
	}
	if o.prices == "" {
		if gate.NeedsPrices() {
			return nil, nil, errors.New("--fail-on: cost needs the price of GPUs; to name it: --prices FILE")
		}
		return nil, gate, nil
	}
	data, err := render.ReadFile(o.prices)
	if err != nil {
		return nil, nil, fmt.Errorf("--prices: %w", err)
	}
	prices, err := review.ParsePrices(o.prices, data)
	return prices, gate, err
}

func (o *diffOptions) shown(r *review.Review, out io.Writer) (string, error) {
	switch o.output {
	case "markdown":
		return r.Markdown(), nil
	case "json":
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err := enc.Encode(r)
		return b.String(), err
	}
	return r.Text(colored(out)), nil
}

// colored says whether an output is a terminal that takes colours.
func colored(out io.Writer) bool {
	terminal, ok := out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(terminal.Fd()))
}

// verdict is the status of a review. What could not be rendered outranks what is
// refused, and that what changes.
func verdict(r *review.Review, errOut io.Writer) error {
	var lines []string
	for _, v := range r.Violations {
		lines = append(lines, fmt.Sprintf("%s: request %q: %s (--fail-on %s)", v.Dir, v.Request, v.Message, v.Rule))
	}
	switch {
	case r.Failed():
		for _, c := range r.Apps {
			for _, e := range c.Errors {
				lines = append(lines, fmt.Sprintf("%s: cannot be rendered in %s: %s", c.Dir, e.Side, e.Message))
			}
		}
		return failed(errors.New(strings.Join(lines, "\n")))
	case len(lines) > 0:
		return &codedError{exitPolicy, errors.New(strings.Join(lines, "\n"))}
	case r.Differs():
		return &codedError{exitChanged, errQuiet}
	}
	return nil
}
