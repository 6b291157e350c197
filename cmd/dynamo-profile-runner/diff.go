package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func newDiffCommand() *cobra.Command {
	var r resultRef
	var output string
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Say in what two results differ",
		Long: `diff compares two results, each named by its digest, the first six or more digits of
it, or a request that is locked in --dir or below: what they were asked, what they
pick and expect, and what made them. It exits with 0 whether they differ or not.`,
		Example: `  # what a newer AIConfigurator makes of a request
  dynamo-profile-runner diff sha256:353ae6e78ef6 llama-70b

  # two sizes of one model
  dynamo-profile-runner diff llama-70b llama-70b-large --output json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{errors.New("diff needs two digests or requests; to see what there is: dynamo-profile-runner ls")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			progress := newSteps(cmd)
			defer progress.done()
			progress.say("reading the results %s and %s", args[0], args[1])
			a, err := r.resolve(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			b, err := r.resolve(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			progress.done()
			return printDifferences(cmd.OutOrStdout(), output, a, b)
		},
	}
	r.flags(cmd.Flags())
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

func printDifferences(w io.Writer, output string, a, b *named) error {
	differences := profile.Differences(a.result, b.result)
	if output == "json" {
		return printJSON(w, struct {
			Before      cache.Digest         `json:"before"`
			After       cache.Digest         `json:"after"`
			Differences []profile.Difference `json:"differences"`
		}{a.digest, b.digest, append([]profile.Difference{}, differences...)})
	}
	if len(differences) == 0 {
		_, err := fmt.Fprintf(w, "%s and %s do not differ in what is asked, picked and expected\n", short(string(a.digest)), short(string(b.digest)))
		return err
	}
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\t%s\t%s\t\n", short(string(a.digest)), short(string(b.digest)))
	for _, d := range differences {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", d.Path, orDash(cut(d.Before)), orDash(cut(d.After)), percent(d))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// cut keeps a long value from hiding the others.
func cut(s string) string {
	const most = 60
	if r := []rune(strings.ReplaceAll(s, "\t", " ")); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// percent is by how much an expected number moved, in percent.
func percent(d profile.Difference) string {
	before, err := strconv.ParseFloat(d.Before, 64)
	after, err2 := strconv.ParseFloat(d.After, 64)
	if err != nil || err2 != nil || before == 0 || !strings.HasPrefix(d.Path, "expected.") {
		return ""
	}
	return fmt.Sprintf("%+.0f %%", (after-before)/before*100)
}
