package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

type gcOptions struct {
	store   string
	repos   []string
	grace   days
	offline bool
	dryRun  bool
	output  string
}

// days is a duration that may be written in days: 14d.
type days time.Duration

func (d *days) Set(s string) error {
	if n, err := strconv.Atoi(strings.TrimSuffix(s, "d")); err == nil && n >= 0 && n <= 36500 && (n == 0 || strings.HasSuffix(s, "d")) {
		*d = days(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration such as 14d or 36h", s)
	}
	*d = days(v)
	return nil
}

func (d *days) String() string {
	if day := 24 * time.Hour; *d != 0 && time.Duration(*d)%day == 0 {
		return fmt.Sprintf("%dd", time.Duration(*d)/day)
	}
	return time.Duration(*d).String()
}

func (*days) Type() string { return "duration" }

func newGCCommand() *cobra.Command {
	o := gcOptions{grace: days(14 * 24 * time.Hour)}
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete the results that no branch, tag or open lock reaches",
		Long: `gc deletes from a store what nobody uses any more.

In use is every result that a dynamo.lock names: at any branch, remote branch, tag or
other ref of the repositories (--repo, one for each that shares the store), in their
checkouts, committed or not, and in the history of the last --grace, so that a rollback
renders. So is what the store answers to a request of a checkout by its key. Signatures
and attestations go and stay with their result. Measurements, which let a search
resume, go when they are older than --grace. So do results: one that was pushed or
found again since then stays. An OCI layout dates a result by the file of its manifest,
which a git checkout makes new: for a store inside the repository, whose history keeps
everything anyhow, use --grace 0. A registry dates it by the tags pushed-DAY-DIGEST
that run sets; one without such a tag gets it now and its time begins. Whatever else is
in the repository of the registry, or has a tag of your own, stays.

gc wants whole repositories: it refuses a shallow clone, a remote branch that was not
fetched, and repositories without any lock.

stdout gets what is deleted, with sizes; a blob that two artifacts share counts once
in the sum.`,
		Example: `  # what would go from the store in this repository
  dynamo-profile-runner gc --grace 0 --dry-run

  # a registry that two repositories share
  dynamo-profile-runner gc --store registry.example.com/dynamo/profiles --repo ~/platform --repo ~/team-a`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			progress := newSteps(cmd)
			defer progress.done()
			store, swept, err := gc(cmd.Context(), o, progress)
			progress.done()
			if err != nil {
				return err
			}
			return reportSweep(cmd.OutOrStdout(), o, store, swept)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.store, "store", "", "what to clean: oci-layout:PATH or REGISTRY/REPO (default: the .dynamo-cmp/store of the repository)")
	flags.StringSliceVar(&o.repos, "repo", []string{"."}, "directories of the git repositories whose locks the store serves; every one of them")
	flags.Var(&o.grace, "grace", "how long what nobody uses stays: 14d, 36h, 0")
	flags.BoolVar(&o.offline, "offline", false, "go by the branches and tags that are here, without asking the remotes what they have")
	flags.BoolVar(&o.dryRun, "dry-run", false, "delete nothing")
	flags.StringVar(&o.output, "output", "text", "text or json")
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no argument, not %q; to see how it is used: %s --help", cmd.Name(), args[0], cmd.CommandPath())}
	}
	return nil
}

func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return &usageError{fmt.Errorf("--output: unknown value %q, want text or json", output)}
	}
	return nil
}

// openStore is the store of that reference, else the one that the repository of dir
// carries.
func openStore(ref, dir string) (*cache.Store, error) {
	if ref == "" {
		tree, rel, err := render.OpenTree(dir)
		if err != nil {
			return nil, &usageError{err}
		}
		defer tree.Close()
		ref = cache.Embedded(tree.Root(), rel)
	}
	store, err := cache.Open(ref, cache.Options{})
	if err != nil {
		return nil, &usageError{fmt.Errorf("--store: %w", err)}
	}
	return store, nil
}

// noStore adds to the error of a store that is not there how to name another.
func noStore(err error) error {
	if errors.Is(err, cache.ErrNotFound) {
		return fmt.Errorf("%w; to name the store: --store REF", err)
	}
	return err
}

func gc(ctx context.Context, o gcOptions, progress *steps) (*cache.Store, *cache.Swept, error) {
	if len(o.repos) == 0 {
		return nil, nil, &usageError{errors.New("--repo: name the repositories whose locks the store serves")}
	}
	store, err := openStore(o.store, o.repos[0])
	if err != nil {
		return nil, nil, err
	}
	before := time.Now().Add(-time.Duration(o.grace))
	keep := map[cache.Digest]bool{}
	for _, repo := range o.repos {
		progress.say("%s: reading the locks of every branch and tag", repo)
		r, err := findReach(ctx, repo, before, o.offline)
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(keep, r.results)
		progress.say("%s: looking up the keys of its requests in %s", repo, store)
		if err := keepAnswers(ctx, repo, store, keep, progress.progress); err != nil {
			return nil, nil, err
		}
	}
	if o.grace == 0 {
		before = before.AddDate(0, 0, 1) // a registry knows the day of a push alone
	}
	progress.say("sweeping %s", store)
	swept, err := store.Sweep(ctx, cache.Sweep{Keep: keep, Before: before, DryRun: o.dryRun})
	return store, swept, noStore(err)
}

// keepAnswers marks what the store has for the keys of the requests in a checkout:
// where results are found by key, no lock names them.
func keepAnswers(ctx context.Context, repo string, store *cache.Store, keep map[cache.Digest]bool, progress *progress) error {
	jobs, err := findJobs(ctx, []string{repo})
	var none *usageError
	if err != nil && !errors.As(err, &none) {
		return err
	}
	for _, j := range jobs {
		if j.problem != nil {
			progress.warn(requestOf(j), fmt.Sprintf("what is stored for requests here is not known to be in use: %s", j.problem))
			continue
		}
		d, err := store.Find(ctx, j.key)
		switch {
		case err == nil:
			keep[d] = true
		case !errors.Is(err, cache.ErrNotFound):
			return err
		}
	}
	return nil
}

// sweptArtifact is an artifact as --output json prints it.
type sweptArtifact struct {
	Digest  cache.Digest `json:"digest"`
	Kind    string       `json:"kind"`
	Subject cache.Digest `json:"subject,omitempty"`
	Tags    []string     `json:"tags,omitempty"`
	Pushed  string       `json:"pushed,omitempty"`
	Bytes   int64        `json:"bytes"`
}

func kindOf(a cache.Artifact) string {
	switch {
	case a.IsResult():
		return "result"
	case a.IsMeasurement():
		return "measurement"
	}
	return a.Type
}

func reportSweep(w io.Writer, o gcOptions, store *cache.Store, swept *cache.Swept) error {
	deleted := []sweptArtifact{}
	for _, a := range swept.Deleted {
		one := sweptArtifact{Digest: a.Digest, Kind: kindOf(a), Subject: a.Subject, Tags: a.Tags, Bytes: a.Size}
		if !a.Pushed.IsZero() {
			one.Pushed = a.Pushed.UTC().Format(time.DateOnly)
		}
		deleted = append(deleted, one)
	}
	if o.output == "json" {
		return printJSON(w, struct {
			Store   string          `json:"store"`
			DryRun  bool            `json:"dryRun"`
			Deleted []sweptArtifact `json:"deleted"`
			Bytes   int64           `json:"bytes"`
			Kept    int             `json:"kept"`
			Dated   []cache.Digest  `json:"dated,omitempty"`
		}{store.String(), o.dryRun, deleted, swept.Bytes, swept.Kept, swept.Dated})
	}
	if len(deleted) > 0 {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "DIGEST\tKIND\tPUSHED\tSIZE")
		for _, d := range deleted {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", d.Digest, d.Kind, orDash(d.Pushed), bytesText(d.Bytes))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	verb := "deleted"
	if o.dryRun {
		verb = "would be deleted"
	}
	_, err := fmt.Fprintf(w, "%s: %d %s, %s; %d stay\n", store, len(deleted), verb, bytesText(swept.Bytes), swept.Kept)
	if n := len(swept.Dated); n > 0 && err == nil {
		_, err = fmt.Fprintf(w, "%d in no use have no date; their grace period begins with the first gc\n", n)
	}
	return err
}

// bytesText is a size that people read.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " " + units[i]
}
