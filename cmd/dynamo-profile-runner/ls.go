package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func newLsCommand() *cobra.Command {
	var store, output string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the results in a store",
		Long: `ls lists every profiling result of a store, verified, with what it is for and what it
picks. BY KEY says whether the store answers its key with it: there may be newer ones
of the same key, which locks adopt. PUSHED is the day of the last push.`,
		Example: `  # results in this repository
  dynamo-profile-runner ls

  # every result of a model in a registry
  dynamo-profile-runner ls --store registry.example.com/dynamo/profiles --output json |
    jq '.[] | select(.model == "Qwen/Qwen3-32B")'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			s, err := openStore(store, ".")
			if err != nil {
				return err
			}
			progress := newSteps(cmd)
			defer progress.done()
			progress.say("reading %s", s)
			rows, err := list(cmd.Context(), s, progress)
			progress.done()
			if rows == nil && err != nil {
				return noStore(err)
			}
			return errors.Join(printList(cmd.OutOrStdout(), output, rows), err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&store, "store", "", "oci-layout:PATH or REGISTRY/REPO (default: the .dynamo-cmp/store of the repository)")
	flags.StringVar(&output, "output", "text", "text or json")
	return cmd
}

// listed is a result as ls shows it. Latencies are in milliseconds.
type listed struct {
	Digest               cache.Digest       `json:"digest"`
	Key                  profile.Key        `json:"key"`
	ByKey                bool               `json:"byKey"`
	Model                string             `json:"model"`
	System               string             `json:"system"`
	Backend              profile.Backend    `json:"backend"`
	Mode                 profile.Mode       `json:"mode"`
	GPUs                 int                `json:"gpus"`
	TTFTMillis           float64            `json:"ttftMillis,omitempty"`
	ITLMillis            float64            `json:"itlMillis,omitempty"`
	TokensPerSecondByGPU float64            `json:"tokensPerSecondPerGpu,omitempty"`
	Confidence           profile.Confidence `json:"confidence"`
	Profiler             string             `json:"profiler"`
	Pushed               string             `json:"pushed,omitempty"`
	Bytes                int64              `json:"bytes"`
}

// list reads every result; those that it cannot read are its error.
func list(ctx context.Context, s *cache.Store, progress *steps) ([]listed, error) {
	all, err := s.Artifacts(ctx)
	if err != nil {
		return nil, err
	}
	rows := []listed{}
	var errs []error
	for i, a := range all {
		if !a.IsResult() {
			continue
		}
		progress.say("reading %s: %d of %d", s, i+1, len(all))
		res, err := s.Get(ctx, a.Digest)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		row := listed{Digest: a.Digest, Key: res.Inputs.Key(), ByKey: a.AnswersKey(res.Inputs.Key()), Model: res.Inputs.Model,
			System: res.Pick.System, Backend: res.Pick.Backend, Mode: res.Pick.Mode, GPUs: res.Pick.TotalGPUs, Confidence: res.Confidence,
			Profiler: res.Provenance.Name(), Bytes: a.Size}
		if m := res.Pick.Expected; m != nil {
			row.TTFTMillis, row.ITLMillis, row.TokensPerSecondByGPU = m.TTFTMillis, m.ITLMillis, m.TokensPerSecondPerGPU
		}
		if !a.Pushed.IsZero() {
			row.Pushed = a.Pushed.UTC().Format(time.DateOnly)
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Pushed, b.Pushed))
	})
	return rows, errors.Join(errs...)
}

func printList(w io.Writer, output string, rows []listed) error {
	if output == "json" {
		return printJSON(w, rows)
	}
	if len(rows) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "DIGEST\tMODEL\tSYSTEM\tMODE\tBACKEND\tGPUS\tTTFT ms\tITL ms\tTOKENS/S/GPU\tCONFIDENCE\tBY KEY\tPUSHED")
	for _, r := range rows {
		byKey := "-"
		if r.ByKey {
			byKey = "yes"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", short(string(r.Digest)), r.Model, r.System, r.Mode, r.Backend, r.GPUs,
			number(r.TTFTMillis, 0), number(r.ITLMillis, 1), number(r.TokensPerSecondByGPU, 0), r.Confidence, byKey, orDash(r.Pushed))
	}
	return tw.Flush()
}

// short keeps a digest recognisable in a line that people read.
func short(digest string) string {
	return digest[:min(len(digest), len("sha256:")+12)]
}
