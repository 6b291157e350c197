package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/rapid"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

type importOptions struct {
	run     runOptions
	request string
}

func newImportCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import PATH --request DGDR",
		Short: "Take a result over from AIConfigurator or from Dynamo's profiler",
		Long: `import makes a result of what another tool left, stores it, and pins it in the
dynamo.lock beside the request that it answers. PATH is

  a directory that AIConfigurator's command line wrote with --save-dir. Its ranking and
  predictions are taken over. It has to be for the same model, system, backend, GPUs,
  lengths and targets as the request, and the request may neither name a load nor
  switch the planner on: the directory says nothing of either.

  a file with the ConfigMap dgdr-output-NAME of Dynamo's profiler, or its
  final_config.yaml. Only a deployment is in there: the topology and the engines are
  taken over, the planner's curves too where there are enough, and predictions are
  not, so the SLA counts as not verified.

The confidence of the result is "imported", which --allow of dynamo-cmp can refuse; its
provenance says what it was read from. It does not become the store's answer to the
key: only the lock names it. The model's config.json is read as run reads it.`,
		Example: `  # a simulation that was made by hand
  aiconfigurator cli default --model-path Qwen/Qwen3-32B ... --save-dir out
  dynamo-profile-runner import out --request apps/qwen/dgdr.yaml

  # what Dynamo's operator found in a cluster
  kubectl get configmap dgdr-output-qwen -o yaml > output.yaml
  dynamo-profile-runner import output.yaml --request apps/qwen/dgdr.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("import needs one directory of AIConfigurator or one file of Dynamo's profiler; to see how it is used: dynamo-profile-runner import --help")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.run.output); err != nil {
				return err
			}
			if o.request == "" {
				return &usageError{errors.New("import needs the request that is answered; to name it: --request apps/llama-70b/dgdr.yaml")}
			}
			progress := newSteps(cmd)
			defer progress.done()
			done, err := importResult(cmd.Context(), args[0], o, progress)
			progress.done()
			if err != nil {
				return err
			}
			return printOutcomes(cmd.OutOrStdout(), progress.progress, o.run.output, []outcome{*done})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.request, "request", "", "the file of the DGDR that is answered, or its directory")
	flags.StringVar(&o.run.store, "store", "", "where the result goes: oci-layout:PATH or REGISTRY/REPO (default: the nearest .dynamo-cmp/store at or above the DGDR, or one at the repository root)")
	flags.BoolVar(&o.run.force, "force", false, "import although the lock has a result for the request as it stands")
	flags.StringVar(&o.run.output, "output", "text", "text or json")
	flags.StringSliceVar(&o.run.modelConfigs, "model-config", nil, "directories with config.json files of models that AIConfigurator does not ship, as <org>/<name>/config.json")
	flags.StringVar(&o.run.python, "python", defaultPython(), "a Python that has AIConfigurator installed")
	return cmd
}

// importResult imports, stores and locks.
func importResult(ctx context.Context, path string, o importOptions, progress *steps) (*outcome, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &usageError{err}
	}
	jobs, err := findJobs(ctx, []string{o.request})
	if err != nil {
		return nil, err
	}
	if len(jobs) > 1 {
		return nil, &usageError{fmt.Errorf("%s: holds %d requests, an import answers one; to name it: --request FILE", o.request, len(jobs))}
	}
	j := jobs[0]
	if j.problem != nil {
		return nil, j.problem
	}
	where := fmt.Sprintf("%s:%d: request %q", j.req.File, j.req.Line, j.req.Name)
	if d, err := locked(j); err != nil {
		return nil, err
	} else if d != "" && !o.run.force {
		return nil, fmt.Errorf("%s: %s has a result for it, %s; to replace it: --force", where, cache.LockFile, d)
	}
	r := runner{opts: o.run}
	store, err := r.open(j)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--store: %w", err)}
	}
	res, files, err := readImport(ctx, path, info.IsDir(), j, o.run, progress)
	if err != nil {
		return nil, fmt.Errorf("%s: importing %s: %w", where, path, err)
	}
	progress.say("storing the result in %s", store)
	digest, err := store.Put(ctx, res, files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	out := &outcome{job: j, status: statusImported, digest: digest, result: res}
	if err := cache.UpdateLock(ctx, j.dir, []cache.LockEntry{out.entry()}); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return out, nil
}

func readImport(ctx context.Context, path string, dir bool, j job, o runOptions, progress *steps) (*profile.Result, []profile.File, error) {
	profiler := rapid.New(rapid.Options{Python: o.python, ModelConfigs: o.modelConfigs, Jobs: 1,
		Progress: func(_ profile.Inputs, message string) { progress.say("%s: %s", j.req.Name, message) }})
	defer profiler.Close()
	progress.say("reading %s", path)
	if dir {
		return profiler.ImportTables(ctx, j.req.Inputs(), modelDir(j.req), path)
	}
	data, err := render.ReadFile(path) // its limit is many times what a ConfigMap holds
	if err != nil {
		return nil, nil, err
	}
	return profiler.ImportDeployment(ctx, j.req.Inputs(), modelDir(j.req), j.req.Name, data)
}
