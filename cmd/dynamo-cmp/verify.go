package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func newVerifyCommand() *cobra.Command {
	var o options
	var file, output string
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Audit the locked results of a repository",
		Long: `verify audits every result that a dynamo.lock in DIR (default: the working directory)
or below it names, but for hidden directories and testdata. It reads the results from
the store, not from local copies, and says for each: its confidence, its engine, who
signed it, and how old it is, as far as a trusted key attests that.

A result is a violation when it is not in the store, when a byte of it was changed,
when it answers another key than its lock entry says or has another confidence, when
keys are trusted and none of them signed it, and when it is not what the policy file
demands:

  apiVersion: dynamo-cmp.github.io/v1
  kind: Policy
  confidences: [measured, simulated]
  backends: [vllm, trtllm]
  requireSignature: true      # an audit without trusted keys is refused
  maxAge: 90d                 # days or hours, by the latest attestation

The exit status is 1 if there is a violation, 2 for bad input.`,
		Example: `  # in CI, on every pull request
  dynamo-cmp verify --policy platform/policy.yaml --trusted-keys platform/keys

  # for the code scanning of GitHub or GitLab
  dynamo-cmp verify --policy platform/policy.yaml --output sarif > dynamo-cmp.sarif`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json", "sarif"}, output) {
				return &codedError{exitInput, fmt.Errorf("--output: unknown value %q, want text, json or sarif", output)}
			}
			a, err := newAuditor(o, file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
			defer cancel()
			all, err := a.below(ctx, directory(args))
			if err != nil {
				return err
			}
			if err := printAudit(profile.Printable(cmd.OutOrStdout()), output, all, a.now); err != nil {
				return fmt.Errorf("printing results: %w", err)
			}
			return violations(all, output)
		},
	}
	flags := cmd.Flags()
	for _, name := range []string{"store", "trusted-keys"} {
		s := settingNamed(name)
		s.bind(flags, &o, *s)
	}
	flags.StringVar(&file, "policy", "", "policy file that every result is held against")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "give up after this long")
	flags.StringVarP(&output, "output", "o", "text", "text, json or sarif")
	return cmd
}

// newAuditor refuses a policy that cannot be enforced.
func newAuditor(o options, file string) (*auditor, error) {
	keys, err := o.keys()
	if err != nil {
		return nil, err
	}
	p, err := readPolicy(file)
	if err != nil {
		return nil, err
	}
	if keys == nil && (p.requireSignature || p.maxAge > 0) {
		return nil, &codedError{exitInput, fmt.Errorf("%s: requireSignature and maxAge need keys to trust; to name them: --trusted-keys", file)}
	}
	return &auditor{store: o.store, keys: keys, policy: p, now: time.Now()}, nil
}

// violations is the error that says what is wrong, in the report already where a
// program reads that.
func violations(all []audited, output string) error {
	var problems profile.Problems
	bad := 0
	for _, row := range all {
		if len(row.Violations) > 0 {
			bad++
		}
		for _, v := range row.Violations {
			problems = append(problems, profile.Problem{File: row.File, Line: row.Line, Message: fmt.Sprintf("request %q: %s", row.Request, v.Message)})
		}
	}
	if bad == 0 {
		return nil
	}
	summary := fmt.Sprintf("%d of %d results are refused", bad, len(all))
	if output != "text" {
		return errors.New(summary)
	}
	return fmt.Errorf("%s\n%s", problems.Error(), summary)
}

func printAudit(w io.Writer, output string, all []audited, now time.Time) error {
	if output == "text" {
		return printTable(w, all, now)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if output == "sarif" {
		return enc.Encode(newSARIF(all))
	}
	return enc.Encode(map[string][]audited{"results": all})
}

func printTable(w io.Writer, all []audited, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "LOCK\tREQUEST\tRESULT\tCONFIDENCE\tENGINE\tSIGNED BY\tAGE\tVERDICT")
	for _, row := range all {
		age := "unknown"
		if row.MadeOn != nil {
			age = days(now.Sub(*row.MadeOn))
		}
		var broken []string
		for _, v := range row.Violations {
			broken = append(broken, v.Rule)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.File, row.Request, short(string(row.Result)), row.Confidence,
			cmp.Or(row.Engine, "-"), cmp.Or(row.SignedBy, "-"), age, cmp.Or(strings.Join(broken, ", "), "ok"))
	}
	return tw.Flush()
}
