package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

func newGenerateCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "generate [DIR]",
		Short: "Print the manifests of a directory",
		Long: `generate reads every YAML file of DIR (default: the working directory), or builds
its kustomization where it has one, replaces each DGDR by the manifests of its locked
profiling result, and prints all of them. Patches apply to both.

It reads DIR, what its kustomization names in the repository, hardware.yaml at or
above DIR, DIR/dynamo.lock, and the store. It prints everything at once or nothing.
The same checkout and the same digests give the same bytes.

Under Argo CD, which sets ARGOCD_APP_NAME, the Application may be stricter than the
flags (dynamo-cmp parameters), errors are cut to what its UI shows, and warnings
are left to whoever runs generate by hand or in CI.`,
		Example: `  # what Argo CD will apply for one application
  dynamo-cmp generate apps/llama-70b

  # results in a registry, shared by several clusters
  dynamo-cmp generate apps/llama-70b --store registry.example.com/dynamo/profiles

  # production renders nothing that was only guessed
  dynamo-cmp generate apps/llama-70b --allow measured,simulated

  # development: look at the shape of the manifests before anything was profiled
  dynamo-cmp generate apps/llama-70b --on-miss naive`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			if underArgoCD() {
				if err := o.narrow(os.Environ()); err != nil {
					return err
				}
			}
			out, warnings, err := generate(cmd.Context(), directory(args), o)
			if err != nil {
				return err
			}
			warn(cmd, warnings)
			if _, err := cmd.OutOrStdout().Write(out); err != nil {
				return fmt.Errorf("writing manifests: %w", err)
			}
			return nil
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// oneDirectory refuses more than one argument.
func oneDirectory(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &codedError{exitInput, fmt.Errorf("%s takes one directory, not %d; to render several: run it once for each", cmd.Name(), len(args))}
	}
	return nil
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &codedError{exitInput, fmt.Errorf("%s takes no argument, not %d; to see how it is used: %s --help", cmd.Name(), len(args), cmd.CommandPath())}
	}
	return nil
}

// directory is the argument of a command, the working directory without one.
func directory(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// warn prints warnings for whoever looks at a terminal or at CI.
func warn(cmd *cobra.Command, warnings profile.Problems) {
	if underArgoCD() {
		return
	}
	for _, w := range warnings {
		fmt.Fprintln(profile.Printable(cmd.ErrOrStderr()), "warning:", w)
	}
}

// grace is how long a render may take to say why it ran out of time.
const grace = 2 * time.Second

// generate is the manifest stream of dir. It returns no bytes with an error, and
// never an empty stream without one.
func generate(ctx context.Context, dir string, o options) ([]byte, profile.Problems, error) {
	ctx, done, err := o.start(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	var out []byte
	var warnings profile.Problems
	err = within(ctx, grace, func() (err error) {
		out, warnings, err = manifests(ctx, dir, o)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return out, warnings, nil
}

// within ends with its context, whatever work does: input that takes too long must
// end in a message, which Argo CD's kill would not leave. The caller is about to
// exit, and work with it.
func within(ctx context.Context, grace time.Duration, work func() error) error {
	finished := make(chan error, 1)
	go func() { finished <- work() }()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-finished:
		return err
	case <-time.After(grace):
		return fmt.Errorf("rendering: %w; to allow more time: %s", ctx.Err(), variable("timeout"))
	}
}

func manifests(ctx context.Context, dir string, o options) ([]byte, profile.Problems, error) {
	tree, rel, err := openTree(dir)
	if err != nil {
		return nil, nil, &codedError{exitInput, err}
	}
	defer tree.Close()
	src, err := tree.Load(rel)
	if err != nil {
		return nil, nil, err
	}
	src.DGDVersion = o.dgdVersion
	r, err := newResolver(tree, src, o)
	if err != nil {
		return nil, nil, err
	}
	out, err := render.Build(ctx, src, r.answer)
	if err != nil {
		return nil, nil, err
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return nil, nil, fmt.Errorf("%s: rendered nothing, which Argo CD would take for \"delete everything\"", rel)
	}
	return out, src.Warnings, nil
}
