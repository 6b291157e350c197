// Command images builds the container images of dynamo-cmp and of
// dynamo-profile-runner as OCI image layouts, without a container engine, and beside
// each the list of its components (CycloneDX). The same sources give the same bytes:
// files are dated to the epoch and sorted.
//
// Dockerfile builds the same two images where there is an engine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	out := flags.String("o", "dist/images", "directory for the layouts")
	only := flags.String("only", "", "dynamo-cmp or dynamo-profile-runner; both without")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64", "of dynamo-cmp; the runner is for linux/amd64, as AIConfigurator's packages are pinned for that")
	base := flags.String("base", defaultBase, "what the runner stands on: an image with Python, as REGISTRY/REPO:TAG or oci-layout:PATH")
	python := flags.String("python-version", "3.12", "of the base")
	aiconfigurator := flags.String("aiconfigurator", "", "a directory with AIConfigurator installed for that Python; installed anew without")
	aiperf := flags.String("aiperf", "", "the same with AIPerf")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *only != "dynamo-profile-runner" {
		err := buildPlugin(ctx, filepath.Join(*out, "dynamo-cmp"), strings.Split(*platforms, ","))
		if err != nil {
			return fmt.Errorf("dynamo-cmp: %w", err)
		}
	}
	if *only != "dynamo-cmp" {
		b := runner{base: *base, python: *python, aiconfigurator: *aiconfigurator, aiperf: *aiperf}
		if err := b.build(ctx, filepath.Join(*out, "dynamo-profile-runner")); err != nil {
			return fmt.Errorf("dynamo-profile-runner: %w", err)
		}
	}
	return nil
}
