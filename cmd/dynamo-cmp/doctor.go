package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// cmpServer is where the sidecars of Argo CD's repo-server keep their plugin.
const cmpServer = "/home/argocd/cmp-server"

func newDoctorCommand() *cobra.Command {
	var o options
	var output, server string
	cmd := &cobra.Command{
		Use:   "doctor [DIR]",
		Short: "Check an installation",
		Long: `doctor checks what generate relies on, from inside the sidecar or on a laptop, and
prints a line for each check, with the remedy where one fails: the cache directory,
the deadline, the trusted keys, a sample render, the plugin and its socket in a
sidecar, the store, and with DIR its locked results, read from the store and verified,
and its render.

It changes nothing. Its exit status is 1 if a check fails.`,
		Example: `  # in the sidecar, with the operator's settings: can Applications be rendered here?
  kubectl exec -n argocd deploy/argocd-repo-server -c dynamo-cmp -- dynamo-cmp doctor

  # before a merge: are the results that a directory has locked all in the store?
  dynamo-cmp doctor apps/llama-70b --store registry.example.com/dynamo/profiles`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return &codedError{exitInput, fmt.Errorf("--output: unknown value %q, want text or json", output)}
			}
			if err := o.check(); err != nil {
				return err
			}
			d := doctor{options: o}
			d.installation(server)
			d.data(cmd.Context(), args)
			if err := d.print(profile.Printable(cmd.OutOrStdout()), output); err != nil {
				return fmt.Errorf("printing checks: %w", err)
			}
			if d.failed > 0 {
				return fmt.Errorf("%d of %d checks failed", d.failed, len(d.checks))
			}
			return nil
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().StringVar(&server, "cmp-server", cmpServer, "directory of the sidecar's plugin; without it, this is no sidecar")
	return cmd
}

// check is one line of the report.
type check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn or fail
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// doctor collects checks.
type doctor struct {
	options options
	checks  []check
	failed  int
}

func (d *doctor) ok(name, format string, args ...any) {
	d.checks = append(d.checks, check{Name: name, Status: "ok", Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(name, detail, remedy string) {
	d.checks = append(d.checks, check{name, "warn", detail, remedy})
}

func (d *doctor) fail(name string, err error, remedy string) {
	d.failed++
	d.checks = append(d.checks, check{name, "fail", clip(err.Error(), maxFailureLine), remedy})
}

func (d *doctor) print(w io.Writer, format string) error {
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(map[string][]check{"checks": d.checks})
	}
	for _, c := range d.checks {
		line := fmt.Sprintf("%-4s  %s: %s", c.Status, c.Name, c.Detail)
		if c.Remedy != "" {
			line += "; to fix it: " + c.Remedy
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// installation checks what holds for every application.
func (d *doctor) installation(server string) {
	d.cacheDir()
	const callers = 60 * time.Second // Argo CD's default; it has no other limit
	if d.options.timeout >= callers {
		d.fail("timeout", fmt.Errorf("%s is not below the %s after which Argo CD kills the plugin", d.options.timeout, callers), "set "+variable("timeout")+" to 30s")
	} else {
		d.ok("timeout", "%s, below Argo CD's %s", d.options.timeout, callers)
	}
	d.trustedKeys()
	d.sample()
	d.sidecar(server)
}

// data checks the store, and what a directory needs of it.
func (d *doctor) data(ctx context.Context, args []string) {
	if len(args) == 0 && d.options.store == "" {
		d.warn("store", "none is set, so each repository has its own", "name a directory to check, or set "+variable("store"))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d.options.timeout)
	defer cancel()
	// Local copies would hide an outage, and making them would be a change.
	d.options.cacheDir = ""
	if len(args) == 0 {
		d.store(ctx, d.options.store)
		return
	}
	err := d.directory(ctx, args[0])
	if err != nil {
		d.fail("directory", errors.New(failure(err)), "dynamo-cmp generate "+args[0])
	}
}
