package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

// The exit codes, also in the help text.
const (
	exitFailed = 1
	exitInput  = 2
	exitStale  = 3
)

// usageError is a command line that cannot be meant.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// execute runs the command line and returns the exit status; it prints the error
// that a command returns, once.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand(stdout)
	root.SetArgs(args)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_ = flagsFromEnvironment(root.PersistentFlags()) // it may have failed before
	progressOf(root).fail(telemetry.Request{}, err.Error())
	var usage *usageError
	var stale *staleError
	var problems profile.Problems
	if errors.As(err, &usage) || errors.As(err, &problems) {
		return exitInput
	}
	if errors.As(err, &stale) {
		return exitStale
	}
	return exitFailed
}

func newRootCommand(stdout io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "dynamo-profile-runner",
		Short: "Profile DynamoGraphDeploymentRequests and pin the results in Git",
		Long: `dynamo-profile-runner answers DynamoGraphDeploymentRequests (DGDRs). It profiles
each once, keeps the result in a store as an OCI artifact, and pins its digest in
the dynamo.lock beside the DGDR, for dynamo-cmp to render.

Every flag is also an environment variable: --store is DYNAMO_CMP_STORE. A flag
wins over its variable.

Exit status: 0 done (of run: every request has a result), 1 failed (of run: at least
one request has none), 2 bad input, 3 at least one result is stale (stale only).`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := flagsFromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			if f := cmd.Flag(logFormat).Value.String(); f != "text" && f != "json" {
				return &usageError{fmt.Errorf("--%s: unknown value %q, want text or json", logFormat, f)}
			}
			return nil
		},
	}
	root.PersistentFlags().String(logFormat, "text", "what goes to stderr: text, or json for a line of JSON each")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; to see the flags: %s --help", err, cmd.CommandPath())}
	})
	root.SetOut(profile.Printable(stdout))
	root.AddCommand(newRunCommand(), newStaleCommand(), newKeyCommand(), newSignCommand(), newImportCommand(),
		newLsCommand(), newShowCommand(), newDiffCommand(), newGCCommand(), newBundleCommand(), newLoadCommand())
	for _, file := range []*cobra.Command{newJobCommand(), newHardwareCommand(), newReportCommand()} {
		file.SetOut(stdout) // what they write is a file's content, byte for byte
		root.AddCommand(file)
	}
	return root
}

// flagsFromEnvironment gives every flag that the command line leaves out the
// value of its DYNAMO_CMP_* variable.
func flagsFromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "DYNAMO_CMP_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if f.Changed || value == "" || f.Name == "help" || f.Name == "version" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return &usageError{err}
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
	return v + ", profiles for Dynamo 1.5"
}
