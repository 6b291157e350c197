package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// ociPrefix begins an output that is an artifact in a registry.
const ociPrefix = "oci://"

func newRenderCommand() *cobra.Command {
	var o options
	var output string
	cmd := &cobra.Command{
		Use:   "render [DIR] --output DIR|oci://REGISTRY/REPO:TAG",
		Short: "Write the manifests of a directory, one file per object",
		Long: `render makes what generate prints, by the same rules, into one file per object:
<kind>_<namespace>_<name>.yaml. It is for those who sync plain YAML: Flux, a branch
of rendered manifests.

An output directory is replaced as a whole. It must be empty, new, or what render
made before and nobody added to: it holds a list of its files, and files that are
gone from the list are gone from the directory.

oci://REGISTRY/REPO:TAG pushes the files as an artifact that Flux's OCIRepository
reads, moves the tag to it, and prints its digest. The same files have the same
digest.`,
		Example: `  # a branch of rendered manifests: the diff of a pull request there is what changes
  dynamo-cmp render apps/llama-70b --output ../rendered/llama-70b

  # Flux: one artifact per environment; an OCIRepository follows the tag
  dynamo-cmp render apps/llama-70b --output oci://registry.example.com/rendered/llama-70b:production`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return &codedError{exitInput, errors.New("render needs --output; to print the manifests: dynamo-cmp generate")}
			}
			stream, warnings, err := generate(cmd.Context(), directory(args), o)
			if err != nil {
				return err
			}
			files, err := filesOf(stream)
			if err != nil {
				return &codedError{exitInput, err}
			}
			said, err := write(cmd.Context(), output, files)
			if err != nil {
				return err
			}
			warn(cmd, warnings)
			fmt.Fprint(profile.Printable(cmd.OutOrStdout()), said)
			return nil
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "", "directory or oci://REGISTRY/REPO:TAG to write to")
	return cmd
}

// write puts the files where the output says, and returns what to print about it.
func write(ctx context.Context, output string, files []file) (string, error) {
	if ref, ok := strings.CutPrefix(output, ociPrefix); ok {
		return push(ctx, ref, files)
	}
	return "", replaceDirectory(output, files)
}
