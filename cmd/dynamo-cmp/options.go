package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// options decide which results are rendered and how they are found.
type options struct {
	store         string
	resolve       string
	onMiss        string
	allow         []string
	requireSLAMet bool
	trustedKeys   []string
	dgdVersion    string
	cacheDir      string
	maxConcurrent int
	timeout       time.Duration
}

// flags gives a command a flag for every setting.
func (o *options) flags(f *pflag.FlagSet) {
	for _, s := range settings() {
		s.bind(f, o, s)
	}
}

// check refuses option values that cannot be meant.
func (o *options) check() error {
	if !slices.Contains([]string{"locked", "key"}, o.resolve) {
		return &codedError{exitInput, fmt.Errorf("--resolve: unknown value %q, want locked or key", o.resolve)}
	}
	if !slices.Contains([]string{"fail", "naive"}, o.onMiss) {
		return &codedError{exitInput, fmt.Errorf("--on-miss: unknown value %q, want fail or naive", o.onMiss)}
	}
	if err := checkVersion(o.dgdVersion); err != nil {
		return &codedError{exitInput, fmt.Errorf("--dgd-version: %w", err)}
	}
	for _, c := range o.allow {
		if err := checkConfidence(c); err != nil {
			return &codedError{exitInput, fmt.Errorf("--allow: %w", err)}
		}
	}
	return nil
}

// start checks the options, waits for the turn of this process, and bounds its time.
func (o *options) start(ctx context.Context) (_ context.Context, done func(), err error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	release := func() {}
	if o.cacheDir != "" {
		// Hidden, so that nobody takes it for a local copy.
		if release, err = takeSlot(ctx, filepath.Join(o.cacheDir, ".slots"), o.slots()); err != nil {
			cancel()
			return nil, nil, err
		}
	}
	return ctx, func() { release(); cancel() }, nil
}

func checkConfidence(c string) error {
	if slices.Contains(profile.Confidences(), profile.Confidence(c)) {
		return nil
	}
	return fmt.Errorf("unknown confidence %q, want some of measured, simulated, estimated, imported, naive", c)
}

// narrowAllow leaves the confidences that the Application allows too.
func (o *options) narrowAllow(values []string) error {
	for _, c := range values {
		if err := checkConfidence(c); err != nil {
			return &codedError{exitInput, err}
		}
	}
	if len(o.allow) == 0 {
		o.allow = values
		return nil
	}
	both := slices.DeleteFunc(slices.Clone(o.allow), func(c string) bool { return !slices.Contains(values, c) })
	if len(both) == 0 {
		return &codedError{exitPolicy, fmt.Errorf("allows %s, and the operator of the sidecar allows %s: nothing is left to render",
			strings.Join(values, ", "), strings.Join(o.allow, ", "))}
	}
	o.allow = both
	return nil
}

func checkVersion(v string) error {
	if slices.Contains(render.DGDVersions(), v) {
		return nil
	}
	return fmt.Errorf("unknown version %q, want %s", v, strings.Join(render.DGDVersions(), " or "))
}

// chooseVersion takes the version that the Application's patches are written for.
func (o *options) chooseVersion(values []string) error {
	if err := checkVersion(values[0]); err != nil {
		return &codedError{exitInput, err}
	}
	o.dgdVersion = values[0]
	return nil
}

// narrowSLA may switch the demand on, never off.
func (o *options) narrowSLA(values []string) error {
	switch values[0] {
	case "true":
		o.requireSLAMet = true
	case "false":
	default:
		return &codedError{exitInput, fmt.Errorf("is %q, want true or false", values[0])}
	}
	return nil
}

// slots is how many renders may run at once; 0 for any number.
func (o *options) slots() int {
	if o.maxConcurrent == 0 {
		return 2 * runtime.GOMAXPROCS(0)
	}
	return max(o.maxConcurrent, 0)
}

// keys are the public keys that the operator trusts, nil where none are named.
func (o *options) keys() (*trust.Keys, error) {
	if len(o.trustedKeys) == 0 {
		return nil, nil
	}
	keys, err := trust.LoadKeys(o.trustedKeys)
	if err != nil {
		return nil, &codedError{exitInput, fmt.Errorf("--trusted-keys: %w", err)}
	}
	return keys, nil
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

// openTree opens the checkout of a directory. Argo CD may leave .git out of what
// it sends; the path that it calls the directory by then says where the root is.
func openTree(dir string) (*render.Tree, string, error) {
	top := applicationRoot(dir)
	if top == "" {
		return render.OpenTree(dir)
	}
	return render.OpenTreeIn(top, dir)
}
