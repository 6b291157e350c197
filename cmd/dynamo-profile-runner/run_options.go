package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/pflag"
)

// runOptions are the flags of run.
type runOptions struct {
	store        string
	force        bool
	renew        bool
	jobs         int
	output       string
	modelConfigs []string
	python       string
	thorough     thoroughOptions
	dryRun       bool
	estimate     bool
	strategy     string
	shard        string
	remote       remoteOptions
	signing      signing
	listeners    watchOptions

	refresh         bool
	argocdNamespace string
	repoURL         string
}

func (o *runOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.store, "store", "", "where results go: oci-layout:PATH or REGISTRY/REPO (default: the nearest .dynamo-cmp/store at or above the DGDR, or one at the repository root)")
	flags.BoolVar(&o.force, "force", false, "profile again even where there is a result")
	flags.BoolVar(&o.renew, "refresh", false, "profile again what is stale, as the command stale tells it, and move its lock; thorough requests take GPUs again")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print the candidates that searchStrategy thorough would measure, with estimated time and GPU hours, and do nothing")
	flags.BoolVar(&o.estimate, "estimate", false, "simulate what searchStrategy thorough asks to measure: the result renders until a run without it has measured")
	flags.StringVar(&o.strategy, "strategy", "", "answer requests of this searchStrategy alone: rapid or thorough")
	flags.StringVar(&o.shard, "shard", "", "answer this part of the keys alone: I/N, or auto in a pod of an Indexed Job that has the number of completions as "+completionsVariable)
	flags.IntVar(&o.jobs, "jobs", min(2, runtime.NumCPU()), "requests profiled at once; each takes a core and 1-2 GiB")
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.StringSliceVar(&o.modelConfigs, "model-config", nil, "directories with config.json files of models that AIConfigurator does not ship, as <org>/<name>/config.json")
	flags.BoolVar(&o.refresh, "refresh-applications", false, "mark the Argo CD Applications of new results for a hard refresh; for plugins that find results in --store by key: with the lock a commit does it")
	flags.StringVar(&o.argocdNamespace, "argocd-namespace", "argocd", "where the Applications are; empty for all namespaces")
	flags.StringVar(&o.repoURL, "repo-url", "", "the repository as the Applications name it (default: the git remote origin of the checkout)")
	o.remote.add(flags)
	o.signing.keyFlag(flags)
	flags.StringVar(&o.signing.image, "runner-image", "", "image that this runs in, with its digest, for the attestation that --signing-key signs")
	flags.StringVar(&o.python, "python", defaultPython(), "a Python that has AIConfigurator installed")
	o.thorough.add(flags)
	o.listeners.add(flags)
}

func (o runOptions) check() error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "rapid", "thorough"}, o.strategy) {
		return &usageError{fmt.Errorf("--strategy: unknown value %q, want rapid or thorough", o.strategy)}
	}
	if o.jobs < 1 {
		return &usageError{fmt.Errorf("--jobs: must be at least 1, is %d", o.jobs)}
	}
	return o.thorough.check()
}

// share is what of the jobs this runner answers. Requests that cannot be read are
// in it whatever the strategy.
func (o runOptions) share(jobs []job) ([]job, error) {
	part, err := parseShard(o.shard, os.Getenv)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(jobs, func(j job) bool {
		return !part.has(j) || o.strategy != "" && j.req != nil && string(j.req.Spec.SearchStrategy) != o.strategy
	}), nil
}

// defaultPython is the one that make venv prepared, beside the working directory or
// the binary's, else that of PATH.
func defaultPython() string {
	candidates := []string{filepath.Join(".venv", "bin", "python")}
	if exe, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(exe), "..", ".venv", "bin", "python"))
	}
	for _, c := range candidates {
		if _, err := os.Stat(c); err == nil {
			return c
		}
	}
	return "python3"
}
