package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

func newSignCommand() *cobra.Command {
	var s signing
	r := &runner{}
	cmd := &cobra.Command{
		Use:   "sign DIGEST|PATH...",
		Short: "Sign results that are in the store",
		Long: `sign signs results that are in the store already: those of the given digests, and
those that are locked for the requests in the given files, directories and everything
below them. It signs what can be read and verified, and nothing twice. It attests
nothing about where a result comes from: only the run that made it knows.

A signature is attached to the result, as cosign sign does, for dynamo-cmp with
--trusted-keys and for cosign verify --key cosign.pub --private-infrastructure.`,
		Example: `  # everything that an application has locked
  dynamo-profile-runner sign apps/llama-70b --signing-key cosign.key

  # one result, after a look at it
  dynamo-profile-runner sign sha256:353ae6e7... --signing-key cosign.key --store registry.example.com/dynamo/profiles`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("sign needs a digest or a path; to sign everything that is locked below the working directory: dynamo-profile-runner sign . --signing-key FILE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.key == "" {
				return &usageError{errors.New("sign needs a private key; to name it: --signing-key FILE")}
			}
			if err := s.load(); err != nil {
				return err
			}
			targets, err := r.targets(cmd.Context(), args)
			if err != nil {
				return err
			}
			var errs []error
			for _, t := range targets {
				said, err := s.sign(cmd.Context(), t)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return errors.Join(errs...)
		},
	}
	s.keyFlag(cmd.Flags())
	cmd.Flags().StringVar(&r.opts.store, "store", "", "where the results are: oci-layout:PATH or REGISTRY/REPO (default: the nearest .dynamo-cmp/store at or above the DGDR or the working directory)")
	return cmd
}

// signable is a result to sign.
type signable struct {
	store  *cache.Store
	digest cache.Digest
}

// targets are the results that the arguments name, each once.
func (r *runner) targets(ctx context.Context, args []string) ([]signable, error) {
	var targets []signable
	seen := map[string]bool{}
	add := func(store *cache.Store, d cache.Digest) {
		if id := store.String() + "@" + string(d); !seen[id] {
			seen[id] = true
			targets = append(targets, signable{store, d})
		}
	}
	for _, arg := range args {
		if strings.HasPrefix(arg, "sha256:") {
			store, d, err := r.named(arg)
			if err != nil {
				return nil, err
			}
			add(store, d)
			continue
		}
		jobs, err := findJobs(ctx, []string{arg})
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			store, d, err := r.lockedTarget(ctx, j)
			if err != nil {
				return nil, err
			}
			add(store, d)
		}
	}
	return targets, nil
}

// named is the result of a digest in the operator's store, or that of the
// repository around the working directory.
func (r *runner) named(digest string) (*cache.Store, cache.Digest, error) {
	d, err := cache.ParseDigest(digest)
	if err != nil {
		return nil, "", &usageError{err}
	}
	j, err := workingDirectory()
	if err != nil {
		return nil, "", err
	}
	store, err := r.open(j)
	return store, d, err
}

// lockedTarget is the result that is locked for a request as it stands.
func (r *runner) lockedTarget(ctx context.Context, j job) (*cache.Store, cache.Digest, error) {
	if j.problem != nil {
		return nil, "", j.problem
	}
	fail := func(err error) (*cache.Store, cache.Digest, error) {
		return nil, "", j.at(err)
	}
	d, err := locked(j)
	if err != nil {
		return fail(err)
	}
	if d == "" {
		return fail(fmt.Errorf("no result is locked for it as it stands; to profile it: dynamo-profile-runner run %s", j.rel))
	}
	store, err := r.open(j)
	if err != nil {
		return fail(err)
	}
	res, err := store.Get(ctx, d)
	if err != nil {
		return fail(err)
	}
	if res.Inputs.Key() != j.key {
		return fail(fmt.Errorf("result %s is for other inputs than its lock entry says; to lock the right one: dynamo-profile-runner run %s", d, j.rel))
	}
	return store, d, nil
}

// sign signs one result and returns what to print about it.
func (s *signing) sign(ctx context.Context, t signable) (string, error) {
	if _, err := t.store.Get(ctx, t.digest); err != nil {
		return "", err // nobody signs what cannot be read
	}
	signed, err := s.signed(ctx, t.store, t.digest)
	if err != nil {
		return "", err
	}
	if signed {
		return fmt.Sprintf("%s was signed already", t.digest), nil
	}
	signature, err := s.signer.Sign(t.digest)
	if err != nil {
		return "", err
	}
	if err := t.store.Attach(ctx, t.digest, signature); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s signed", t.digest), nil
}
