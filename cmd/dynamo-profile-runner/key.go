package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func newKeyCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "key FILE...",
		Short: "Print what of a request is profiled, and its key",
		Long: `key prints, for each DGDR in the files, the inputs (every fact that can change the
profiling answer) and the key that is their hash. Two requests with equal inputs
share a result. It profiles nothing and reads no store.`,
		Example: `  # why does this edit want a new profile? compare before and after
  dynamo-profile-runner key apps/llama-70b/dgdr.yaml

  # the bytes that are hashed
  dynamo-profile-runner key apps/llama-70b/dgdr.yaml --output json | jq -cS '.[0].inputs'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("key needs a file with a DGDR; for example: dynamo-profile-runner key apps/llama-70b/dgdr.yaml")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			jobs, err := findJobs(cmd.Context(), args)
			if err != nil {
				return err
			}
			var errs []error
			for _, j := range jobs {
				errs = append(errs, j.problem)
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
			return printKeys(cmd.OutOrStdout(), output, jobs)
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

// keyed is a request with its inputs and key, as --output json prints it.
type keyed struct {
	Request string         `json:"request"`
	File    string         `json:"file"`
	Key     profile.Key    `json:"key"`
	Inputs  profile.Inputs `json:"inputs"`
}

func printKeys(w io.Writer, output string, jobs []job) error {
	keys := make([]keyed, len(jobs))
	for i, j := range jobs {
		in := j.req.Inputs()
		keys[i] = keyed{Request: j.req.Name, File: j.req.File, Key: j.key, Inputs: in}
	}
	if output == "json" {
		return printJSON(w, keys)
	}
	for _, k := range keys {
		fmt.Fprintf(w, "%s: request %q\n", k.File, k.Request)
		if err := printJSON(w, k.Inputs); err != nil {
			return err
		}
		fmt.Fprintf(w, "key: %s\n", k.Key)
	}
	return nil
}
