package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/report"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// reportOptions say what is reported, and where it goes.
type reportOptions struct {
	resultRef
	output, plots string
	trusted       []string
}

func newReportCommand() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report DIGEST|REQUEST|DIR -o FILE",
		Short: "Make a page about a result, with plots",
		Long: `report writes one HTML page: whether the SLA is met and what binds, throughput
against speed with the pick, prefill and decode curves, every candidate, what was
predicted against what was measured, and where the result comes from. The page is one
file: it fetches nothing, runs nothing, and can be printed.

The result is named as for show, or by a directory or a file with DGDRs, whose locked
results become one page. --plots writes the plots of the page as SVG and PNG, for a
comment. The same result gives the same page.`,
		Example: `  # for those who review what production renders with
  dynamo-profile-runner report llama-70b -o llama-70b.html

  # the plots alone
  dynamo-profile-runner report apps/llama-70b --plots plots`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("report needs one digest, request or directory; to see what there is: dynamo-profile-runner ls")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.output == "" && o.plots == "" {
				return &usageError{errors.New("report needs a file to write; for example: dynamo-profile-runner report llama-70b -o llama-70b.html")}
			}
			progress := newSteps(cmd)
			defer progress.done()
			progress.say("reading %s", args[0])
			subjects, err := o.subjects(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			progress.say("drawing")
			files, err := o.files(subjects)
			if err != nil {
				return err
			}
			progress.done()
			for _, f := range files {
				if f.path == "-" {
					_, err = cmd.OutOrStdout().Write(f.data)
				} else {
					err = writeFile(f.path, f.data)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	o.resultRef.flags(flags)
	flags.StringVarP(&o.output, "output", "o", "", "the page to write; - for stdout")
	flags.StringVar(&o.plots, "plots", "", "directory to write the plots to, as SVG and PNG")
	flags.StringSliceVar(&o.trusted, "trusted-keys", nil, "files with public keys, or directories of them: the page says which of them signed a result, and who made it")
	return cmd
}

// subjects are the results that the argument names.
func (o *reportOptions) subjects(ctx context.Context, arg string) ([]report.Subject, error) {
	var found []found
	if _, err := os.Stat(arg); err == nil {
		if found, err = o.below(ctx, arg); err != nil {
			return nil, err
		}
	} else {
		n, err := o.resolve(ctx, arg)
		if err != nil {
			return nil, err
		}
		found = append(found, foundBy(n))
	}
	var keys *trust.Keys
	if len(o.trusted) > 0 {
		var err error
		if keys, err = trust.LoadKeys(o.trusted); err != nil {
			return nil, &usageError{fmt.Errorf("--trusted-keys: %w", err)}
		}
	}
	var subjects []report.Subject
	for _, f := range found {
		s, err := f.subject(ctx, keys)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, *s)
	}
	return subjects, nil
}

// outputFile is a file to write.
type outputFile struct {
	path string
	data []byte
}

// files are made before the first is written.
func (o *reportOptions) files(subjects []report.Subject) ([]outputFile, error) {
	var out []outputFile
	if o.output != "" {
		data, err := report.Page(subjects)
		if err != nil {
			return nil, err
		}
		out = append(out, outputFile{o.output, data})
	}
	if o.plots == "" {
		return out, nil
	}
	if err := os.MkdirAll(o.plots, 0o755); err != nil {
		return nil, fmt.Errorf("--plots: %w", err)
	}
	names := map[string]int{}
	for _, s := range subjects {
		plots, err := report.Plots(s)
		if err != nil {
			return nil, err
		}
		name := fileName(s)
		if names[name]++; names[name] > 1 {
			name += "-" + strconv.Itoa(names[name])
		}
		for _, p := range plots {
			path := filepath.Join(o.plots, name+"-"+p.Name)
			out = append(out, outputFile{path + ".svg", p.SVG}, outputFile{path + ".png", p.PNG})
		}
	}
	return out, nil
}

// fileName names a subject in files: its request, or the beginning of its digest.
func fileName(s report.Subject) string {
	if s.Request != "" {
		return strings.Trim(unusual.ReplaceAllString(s.Request, "-"), ".-")
	}
	return strings.TrimPrefix(short(s.Digest), "sha256:")
}
