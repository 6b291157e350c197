package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func newLintCommand() *cobra.Command {
	var output string
	var strict bool
	cmd := &cobra.Command{
		Use:   "lint [PATH...]",
		Short: "Find mistakes in DGDRs, locks and what stands beside them",
		Long: `lint reads the DGDRs, kustomizations, locks, hardware files, DynamoCMPConfigs and
policy files of each PATH (default: the working directory) and below it, but for
hidden directories and testdata. It says of each mistake where it is, by which rule
it is one, and what to do. Rules: docs/lint.md.

An error is what generate, run or verify refuse, a warning what they accept although
it hardly does what its author means. It uses no network. Results are looked at where
the repository carries them, in .dynamo-cmp/store.

The exit status is 1 if there is an error, 2 for bad usage, and else 0.`,
		Example: `  # everything in a repository
  dynamo-cmp lint

  # for the code scanning of GitHub or GitLab
  dynamo-cmp lint --output sarif > lint.sarif`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json", "sarif"}, output) {
				return &codedError{exitInput, fmt.Errorf("--output: unknown value %q, want text, json or sarif", output)}
			}
			found, err := lint(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := printFindings(profile.Printable(cmd.OutOrStdout()), output, found); err != nil {
				return fmt.Errorf("printing findings: %w", err)
			}
			return summary(found, strict)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json or sarif")
	cmd.Flags().BoolVar(&strict, "fail-on-warnings", false, "exit with 1 for a warning too")
	return cmd
}

// finding is one mistake in a file.
type finding struct {
	File     string   `json:"file"` // relative to the repository root
	Line     int      `json:"line,omitempty"`
	Severity severity `json:"severity"`
	Rule     string   `json:"rule"`
	Path     string   `json:"path,omitempty"` // of the field
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy"`
}

// severity is SARIF's level.
type severity string

const (
	severityError   severity = "error"
	severityWarning severity = "warning"
)

// lint finds the mistakes of paths, in the order of files and lines.
func lint(ctx context.Context, paths []string) ([]finding, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var found []finding
	var errs []error
	for _, p := range paths {
		here, err := lintPath(ctx, p)
		found, errs = append(found, here...), append(errs, err)
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(found), errors.Join(errs...)
}

func (f finding) text() string {
	where := profile.OneLine(f.File)
	if f.Line > 0 {
		where += fmt.Sprintf(":%d", f.Line)
	}
	message := f.Message
	if f.Path != "" {
		message = profile.OneLine(f.Path) + ": " + message
	}
	return fmt.Sprintf("%s: %s: %s [%s]\n\t%s\n", where, f.Severity, message, f.Rule, f.Remedy)
}

func printFindings(w io.Writer, output string, found []finding) error {
	if output == "text" {
		var b strings.Builder
		for _, f := range found {
			b.WriteString(f.text())
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if output == "sarif" {
		return enc.Encode(lintSARIF(found))
	}
	return enc.Encode(map[string][]finding{"findings": append([]finding{}, found...)})
}

// summary is the error of findings that hold one, or any where that is strict.
func summary(found []finding, strict bool) error {
	bad := 0
	for _, f := range found {
		if f.Severity == severityError {
			bad++
		}
	}
	if bad == 0 && (!strict || len(found) == 0) {
		return nil
	}
	return fmt.Errorf("%d errors, %d warnings", bad, len(found)-bad)
}

func lintSARIF(found []finding) sarif {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "dynamo-cmp lint", Version: version()}}, Results: []sarifResult{}}
	for _, r := range lintRules() {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: r.id, ShortDescription: sarifText{r.about}, Help: &sarifText{r.remedy}})
	}
	for _, f := range found {
		file := sarifFile{URI: (&url.URL{Path: f.File}).String(), URIBaseID: "%SRCROOT%"}
		message := strings.TrimPrefix(f.Path+": "+f.Message, ": ")
		run.Results = append(run.Results, sarifResult{RuleID: f.Rule, Level: string(f.Severity), Message: sarifText{message},
			Locations: []sarifLocation{{sarifPlace{file, sarifRegion{max(f.Line, 1)}}}}})
	}
	return sarif{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}}
}
