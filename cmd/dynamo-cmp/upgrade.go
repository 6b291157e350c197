package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/review"
)

// upgradeOptions say what is upgraded and how it is shown.
type upgradeOptions struct {
	options

	to, aiconfigurator string
	dryRun             bool
	output             string
}

func newUpgradeCommand() *cobra.Command {
	var o upgradeOptions
	cmd := &cobra.Command{
		Use:   "upgrade [DIR]",
		Short: "Say what another version of Dynamo or AIConfigurator does to a fleet",
		Long: `upgrade moves the Dynamo version of every DGDR at and below DIR (default: the working
directory) in memory, and shows what that makes of the fleet: for each request whether
its locked result stays valid, needs a new profile because its key moved, or whether
the version refuses it; then, as diff does, what of its manifests changes.

A version is the tag of spec.image, or of another image that Dynamo releases, with its
registry and its variant; runtimeVersionOverride; and dynamoVersion of a
DynamoCMPConfig. They are found in DGDRs, and in the bases, patches and kustomizations
that a render reads. A DGDR without an image gets one. Manifests are those of the
result that is locked, also where another will be needed.

--aiconfigurator says which results another AIConfigurator made. What becomes of them
its own tables say: dynamo-profile-runner stale DIR --reprofile.

Exit status: 0 nothing changes, 1 error, a request that the version refuses included,
2 something changes. A patch is printed where nothing is refused.`,
		Example: `  # what would Dynamo 1.6.1 do?
  dynamo-cmp upgrade --to 1.6.1 --dry-run

  # do it, at the root of the repository
  dynamo-cmp upgrade --to 1.6.1 --dry-run --output patch | git apply

  # and a newer AIConfigurator?
  dynamo-cmp upgrade --aiconfigurator 0.13.0 --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return failed(err)
			}
			ctx, done, err := o.start(cmd.Context())
			if err != nil {
				return failed(err)
			}
			defer done()
			u, err := o.upgrade(ctx, directory(args))
			if err != nil {
				return failed(err)
			}
			if err := u.print(cmd.OutOrStdout(), o.output); err != nil {
				return failed(err)
			}
			return u.verdict(cmd.ErrOrStderr())
		},
	}
	failsWithOne(cmd)
	flags := cmd.Flags()
	o.flags(flags)
	flags.Lookup("timeout").DefValue = "10m0s"
	o.timeout = 10 * time.Minute
	flags.StringVar(&o.to, "to", "", "version of Dynamo, X.Y.Z")
	flags.StringVar(&o.aiconfigurator, "aiconfigurator", "", "version of AIConfigurator")
	flags.BoolVar(&o.dryRun, "dry-run", false, "change no file; required")
	flags.StringVarP(&o.output, "output", "o", "text", "text, markdown, json or patch")
	return cmd
}

var releaseVersion = regexp.MustCompile(`^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$`)

func (o *upgradeOptions) check() error {
	switch {
	case !slices.Contains([]string{"text", "markdown", "json", "patch"}, o.output):
		return fmt.Errorf("--output: unknown value %q, want text, markdown, json or patch", o.output)
	case o.to == "" && o.aiconfigurator == "":
		return errors.New("upgrade needs a version; to name one: --to 1.6.1, or --aiconfigurator 0.13.0")
	case o.to != "" && !releaseVersion.MatchString(o.to):
		return fmt.Errorf("--to: %q is no version X.Y.Z", o.to)
	case o.to != "" && !slices.Contains(render.DynamoVersions(), minor(o.to)):
		return fmt.Errorf("--to: nothing is known here of Dynamo %s; known are %s; to render for others: another version of dynamo-cmp",
			minor(o.to), strings.Join(render.DynamoVersions(), ", "))
	case !o.dryRun:
		return errors.New("upgrade changes no files; to see what would change: --dry-run; to change them: --dry-run --output patch | git apply")
	}
	return nil
}

// upgrade is what becomes of a fleet.
type upgrade struct {
	To             string         `json:"to,omitempty"`             // version of Dynamo
	AIConfigurator string         `json:"aiconfigurator,omitempty"` // version that results are compared with
	Requests       []upgraded     `json:"requests"`
	Files          []string       `json:"files"` // that the upgrade edits
	Review         *review.Review `json:"review"`

	patch string // of the files
}

// The outcomes of a request.
const (
	upgradeValid    = "valid"         // its locked result stays
	upgradeStale    = "stale"         // it stays, and another AIConfigurator made it
	upgradeProfile  = "needs profile" // its key moves
	upgradeRefused  = "refused"       // the version does not have what it asks for
	upgradeUnlocked = "not locked"    // there is no result to keep
	upgradeFailed   = "failed"        // it does not render as it is
)

// upgraded is what becomes of a request.
type upgraded struct {
	Dir      string       `json:"dir"`
	Request  string       `json:"request"`
	Dynamo   string       `json:"dynamo"` // version that it has now
	Outcome  string       `json:"outcome"`
	Result   cache.Digest `json:"result,omitempty"`
	Profiler string       `json:"profiler,omitempty"` // that made the result
	Reasons  []string     `json:"reasons"`
	Measured bool         `json:"measured"` // a new profile takes GPUs

	key profile.Key
}

// upgrade renders each app as it is, and with the versions moved.
func (o *upgradeOptions) upgrade(ctx context.Context, dir string) (*upgrade, error) {
	tree, rel, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	base := &side{name: review.Revision{Name: "worktree"}, tree: tree, opts: o.options, blobs: map[string]string{}}
	dirs, err := base.apps(rel)
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%s: no DynamoGraphDeploymentRequest here or below", dir)
	}
	f := &upgrader{opts: o, base: base, edits: map[string][]edit{}, apps: map[string]*upgradeApp{}}
	for _, d := range dirs {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("upgrading: %w; to allow more time: --timeout", err)
		}
		if err := f.before(ctx, d); err != nil {
			return nil, err
		}
	}
	after, err := f.moved()
	if err != nil {
		return nil, err
	}
	r := &review.Review{Base: base.name, Head: after.name, Violations: []review.Violation{}}
	u := &upgrade{To: o.to, AIConfigurator: o.aiconfigurator, Requests: []upgraded{}, Review: r}
	if u.Files, u.patch, err = f.patch(after); err != nil {
		return nil, err
	}
	var was, now []review.App
	for _, d := range dirs {
		app := f.apps[d]
		if err := f.after(ctx, after, app); err != nil {
			return nil, err
		}
		u.Requests = append(u.Requests, app.requests...)
		switch {
		case app.unlocked:
		case maps.Equal(app.was.Files, app.now.Files) && app.was.Err == nil:
			r.Unchanged++
		default:
			was, now = append(was, app.was), append(now, app.now)
		}
	}
	r.Apps = review.Compare(was, now, nil)
	return u, nil
}
