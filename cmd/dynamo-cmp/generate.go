package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

type generateOptions struct {
	store    string
	resolve  string
	onMiss   string
	allow    []string
	cacheDir string
	timeout  time.Duration
}

func newGenerateCommand() *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "generate [DIR]",
		Short: "Print the manifests of a directory",
		Long: `generate reads every YAML file of DIR (default: the working directory), replaces
each DGDR by the manifests of its locked profiling result, and prints all of them.

It reads DIR, hardware.yaml at or above DIR, DIR/dynamo.lock, and the store. It
prints everything at once or nothing. The same checkout and the same digests give
the same bytes.`,
		Example: `  # what Argo CD will apply for one application
  dynamo-cmp generate apps/llama-70b

  # results in a registry, shared by several clusters
  dynamo-cmp generate apps/llama-70b --store registry.example.com/dynamo/profiles

  # production renders nothing that was only guessed
  dynamo-cmp generate apps/llama-70b --allow measured,simulated

  # development: look at the shape of the manifests before anything was profiled
  dynamo-cmp generate apps/llama-70b --on-miss naive`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &codedError{exitInput, fmt.Errorf("generate takes one directory, not %d; to render several: run it once for each", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			out, warnings, err := generate(cmd.Context(), dir, o)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
			}
			if _, err := cmd.OutOrStdout().Write(out); err != nil {
				return fmt.Errorf("writing manifests: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.store, "store", "", "where results are: oci-layout:PATH or REGISTRY/REPO (default: the nearest .dynamo-cmp/store at or above DIR)")
	flags.StringVar(&o.resolve, "resolve", "locked", "how a result is found: locked (dynamo.lock only) or key (the key's tag in the store where the lock has no entry)")
	flags.StringVar(&o.onMiss, "on-miss", "fail", "what a request without a result does: fail, or naive (one engine per node, unverified; for development)")
	flags.StringSliceVar(&o.allow, "allow", nil, "confidences that may be rendered, of measured,simulated,estimated,naive (default: all)")
	flags.StringVar(&o.cacheDir, "cache-dir", defaultCacheDir(), "local copies of results, by digest; empty for none")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "give up after this long; keep it below Argo CD's 60 s, whose kill leaves no message")
	return cmd
}

// defaultCacheDir is empty where there is no home directory, as in a sidecar with
// a read-only root: reads then go to the store each time.
func defaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "dynamo-cmp", "results")
}

// check refuses option values that cannot be meant.
func (o generateOptions) check() error {
	if !slices.Contains([]string{"locked", "key"}, o.resolve) {
		return &codedError{exitInput, fmt.Errorf("--resolve: unknown value %q, want locked or key", o.resolve)}
	}
	if !slices.Contains([]string{"fail", "naive"}, o.onMiss) {
		return &codedError{exitInput, fmt.Errorf("--on-miss: unknown value %q, want fail or naive", o.onMiss)}
	}
	for _, c := range o.allow {
		if !slices.Contains(profile.Confidences(), profile.Confidence(c)) {
			return &codedError{exitInput, fmt.Errorf("--allow: unknown confidence %q, want some of measured, simulated, estimated, naive", c)}
		}
	}
	return nil
}

// generate is the manifest stream of dir. It returns no bytes with an error, and
// never an empty stream without one.
func generate(ctx context.Context, dir string, o generateOptions) ([]byte, profile.Problems, error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	tree, rel, err := render.OpenTree(dir)
	if err != nil {
		return nil, nil, &codedError{exitInput, err}
	}
	defer tree.Close()
	src, err := tree.Load(rel)
	if err != nil {
		return nil, nil, err
	}
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
