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
	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func newShowCommand() *cobra.Command {
	var r resultRef
	var output string
	cmd := &cobra.Command{
		Use:   "show DIGEST|REQUEST",
		Short: "Show one result",
		Long: `show prints what a result was asked, what it picks and expects, what made it, and what
refers to it, as signatures do. The result is named by its digest, by the first six or
more digits of it, or by a request that is locked in --dir or below.`,
		Example: `  # what production renders with
  dynamo-profile-runner show llama-70b

  # every alternative that was ranked
  dynamo-profile-runner show llama-70b --output json | jq '.result.alternatives'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("show needs one digest or request; to see what there is: dynamo-profile-runner ls")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			progress := newSteps(cmd)
			defer progress.done()
			progress.say("reading the result %s", args[0])
			shown, err := show(cmd.Context(), r, args[0])
			if err != nil {
				return err
			}
			progress.done()
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			return shown.print(cmd.OutOrStdout())
		},
	}
	r.flags(cmd.Flags())
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

func (r *resultRef) flags(flags *pflag.FlagSet) {
	flags.StringVar(&r.store, "store", "", "oci-layout:PATH or REGISTRY/REPO (default: the nearest .dynamo-cmp/store at or above the dynamo.lock, or --dir)")
	flags.StringVar(&r.dir, "dir", ".", "where to look for the locks of requests")
}

// shown is a result as show prints it.
type shown struct {
	Store     string          `json:"store"`
	Digest    cache.Digest    `json:"digest"`
	Key       profile.Key     `json:"key"`
	Files     []shownFile     `json:"files"`
	Referrers []shownReferrer `json:"referrers"`
	Result    *profile.Result `json:"result"`
}

type shownFile struct {
	Name      string `json:"name"`
	MediaType string `json:"mediaType"`
	Bytes     int    `json:"bytes"`
}

type shownReferrer struct {
	Digest cache.Digest `json:"digest"`
	Type   string       `json:"type"`
}

func show(ctx context.Context, r resultRef, arg string) (*shown, error) {
	n, err := r.resolve(ctx, arg)
	if err != nil {
		return nil, err
	}
	s := &shown{Store: n.store.String(), Digest: n.digest, Key: n.result.Inputs.Key(), Files: []shownFile{}, Referrers: []shownReferrer{}, Result: n.result}
	files, err := n.store.Files(ctx, n.digest)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		s.Files = append(s.Files, shownFile{f.Name, f.MediaType, len(f.Data)})
	}
	about, err := n.store.ReferrersTo(ctx, n.digest)
	if err != nil {
		return nil, err
	}
	for _, a := range about {
		s.Referrers = append(s.Referrers, shownReferrer{a.Digest, a.Type})
	}
	return s, nil
}

func (s *shown) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	res, in := s.Result, s.Result.Inputs
	line("result", "%s", s.Digest)
	line("key", "%s", s.Key)
	line("store", "%s", s.Store)
	line("model", "%s", strings.TrimSpace(in.Model+" "+in.Revision))
	line("asked", "%s on %d x %s, %d per node; isl %d, osl %d; %s", in.Backend, in.Hardware.TotalGPUs, in.Hardware.System, in.Hardware.GPUsPerNode,
		in.Workload.ISL, in.Workload.OSL, targetsText(in.SLA))
	line("confidence", "%s", strings.TrimSpace(string(res.Confidence)+" "+parenthesis(res.Reason)))
	line("made by", "%s", strings.Join(slices.DeleteFunc([]string{res.Provenance.Tool, res.Provenance.ToolVersion, res.Provenance.Database},
		func(s string) bool { return s == "" }), " "))
	line("pick", "%s, %s %s, %d GPUs", res.Pick.Mode, res.Pick.Backend, orDash(res.Pick.BackendVersion), res.Pick.TotalGPUs)
	for _, role := range res.Pick.Roles {
		line("  "+string(role.Name), "%d x %d GPUs, %s, batch %d", role.Replicas, role.GPUsPerEngine, role.Parallelism.Label(), role.BatchSize)
	}
	if m := res.Pick.Expected; m != nil {
		line("expected", "ttft %s ms, itl %s ms, request %s ms, %s tokens/s/GPU at %s concurrent", number(m.TTFTMillis, 0), number(m.ITLMillis, 1),
			number(m.RequestLatencyMillis, 0), number(m.TokensPerSecondPerGPU, 0), number(m.Concurrency, 0))
	}
	line("SLA", "%s", slaText(res.SLA))
	line("ranked after", "%d alternatives, %d points of the sweep", len(res.Alternatives), len(res.Pareto))
	for _, warning := range res.Warnings {
		line("warning", "%s", warning)
	}
	for _, f := range s.Files {
		line("file", "%s, %s", f.Name, bytesText(int64(f.Bytes)))
	}
	for _, r := range s.Referrers {
		line("referrer", "%s %s", r.Digest, r.Type)
	}
	return tw.Flush()
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func targetsText(t profile.Targets) string {
	if t.E2ELatencyMillis > 0 {
		return fmt.Sprintf("request within %g ms", t.E2ELatencyMillis)
	}
	return fmt.Sprintf("ttft within %g ms, itl within %g ms", t.TTFTMillis, t.ITLMillis)
}

func slaText(s profile.SLAOutcome) string {
	switch {
	case !s.Verified:
		return "not verified"
	case s.Met:
		return "met"
	}
	return "missed"
}
