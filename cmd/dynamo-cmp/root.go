package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The exit codes, also in the help text: Argo CD shows the code and the last
// lines of stderr, and nothing else, to whoever looks at the Application.
const (
	exitInternal = 1
	exitInput    = 2
	exitMiss     = 3
	exitTampered = 4
	exitStore    = 5
	exitPolicy   = 6
)

// codedError carries the exit code of an error that a script may branch on.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// execute runs the command line and returns the exit status. Output is printed
// by the commands, once; errors are printed here, once.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errQuiet) {
		fmt.Fprintln(profile.Printable(stderr), failure(err))
	}
	return exitCode(err)
}

// errQuiet ends a command with a status when stdout has said all there is to say.
var errQuiet = errors.New("said on stdout")

func exitCode(err error) int {
	var coded *codedError
	var problems profile.Problems
	switch {
	case errors.Is(err, cache.ErrTampered): // outranks all: someone should look
		return exitTampered
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &problems):
		return exitInput
	}
	return exitInternal
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dynamo-cmp",
		Short: "Render DynamoGraphDeploymentRequests from Git into manifests",
		Long: `dynamo-cmp turns the DynamoGraphDeploymentRequests (DGDRs) of a Git checkout and
their pinned profiling results into DynamoGraphDeployments, planner and workload
manifests that Argo CD syncs.

Every flag is also an environment variable: --on-miss is DYNAMO_CMP_ON_MISS. A
flag wins over its variable.

Exit status: 0 done, 1 internal error, 2 bad input, 3 no result for a request,
4 a stored byte was changed, 5 the store cannot be reached, 6 refused by policy.
On any of them but 0 stdout is empty, except that fn, verify, lint and doctor say
there what is wrong, with status 1. diff and upgrade have the statuses of their kind:
2 for a difference.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return flagsFromEnvironment(cmd.Flags())
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &codedError{exitInput, fmt.Errorf("%w; to see the flags: %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newInitCommand(), newGenerateCommand(), newParametersCommand(), newDiscoverCommand(), newRenderCommand(), newFnCommand(),
		newDiffCommand(), newExplainCommand(), newVerifyCommand(), newLintCommand(), newUpgradeCommand(), newSchemaCommand(), newDoctorCommand())
	return root
}

// flagsFromEnvironment gives every flag that the command line leaves out the
// value of its DYNAMO_CMP_* variable.
func flagsFromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value := os.Getenv(name)
		if f.Changed || value == "" || f.Name == "help" || f.Name == "version" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return &codedError{exitInput, err}
	}
	return nil
}

// version is the module's, as the Go linker knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && v == "(devel)" {
			v += " " + s.Value[:12]
		}
	}
	return v + ", renders for Dynamo 1.5"
}
