package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// keypair is a program that writes NAME.key and NAME.pub.
func keypair() {
	if err := writePair(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writePair(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := cryptoutils.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	return errors.Join(err, os.WriteFile(name+".key", private, 0o600), os.WriteFile(name+".pub", public, 0o600))
}

// replay is a profiler that answers with a result of the example repository.
type replay struct{ res *profile.Result }

func (p replay) Profile(context.Context, profile.Inputs, string) (*profile.Result, []profile.File, error) {
	return p.res, nil, nil
}

// llama is the request of an example, and its locked result.
func llama(t *testing.T) (job, *profile.Result) {
	t.Helper()
	jobs, err := findJobs(t.Context(), []string{"../../examples/gitops-repo/apps/llama-70b"})
	require.NoError(t, err)
	store, err := cache.Open("oci-layout:../../examples/gitops-repo/.dynamo-cmp/store", cache.Options{})
	require.NoError(t, err)
	d, err := locked(jobs[0])
	require.NoError(t, err)
	res, err := store.Get(t.Context(), d)
	require.NoError(t, err)
	return jobs[0], res
}

func TestRunSignsAndAttestsWhatItMakes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "operator")
	require.NoError(t, writePair(name))
	o := runOptions{store: "oci-layout:" + t.TempDir(), signing: signing{key: name + ".key", image: "example.com/runner@sha256:abc"}}
	require.NoError(t, o.signing.load())
	j, res := llama(t)
	r := runner{opts: o, rapid: replay{res}, progress: newProgress(nil)}
	before := time.Now().UTC().Truncate(time.Second)
	out, err := r.profile(t.Context(), j)
	require.NoError(t, err)

	keys, err := trust.LoadKeys([]string{name + ".pub"})
	require.NoError(t, err)
	store, err := r.open(j)
	require.NoError(t, err)
	v, err := keys.Verify(t.Context(), store, out.digest)
	require.NoError(t, err)
	require.Equal(t, name+".pub", v.Key)
	made := v.Provenance.RunDetails.Metadata
	require.False(t, made.StartedOn.Before(before))
	require.False(t, made.FinishedOn.Before(made.StartedOn))

	// Profiled again, the same result has one signature and two attestations.
	_, err = r.profile(t.Context(), j)
	require.NoError(t, err)
	attachments, err := store.Attachments(t.Context(), out.digest)
	require.NoError(t, err)
	signatures := 0
	for _, at := range attachments {
		if at.Annotations["dev.sigstore.bundle.predicateType"] == "https://sigstore.dev/cosign/sign/v1" {
			signatures++
		}
	}
	require.Equal(t, 1, signatures)
}

// The result itself is the same whoever makes it.
func TestSigningChangesNoResult(t *testing.T) {
	j, res := llama(t)
	plain := runner{opts: runOptions{store: "oci-layout:" + t.TempDir()}, rapid: replay{res}, progress: newProgress(nil)}
	out, err := plain.profile(t.Context(), j)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "operator")
	require.NoError(t, writePair(name))
	signed := runner{opts: runOptions{store: "oci-layout:" + t.TempDir(), signing: signing{key: name + ".key"}}, rapid: replay{res}, progress: newProgress(nil)}
	require.NoError(t, signed.opts.signing.load())
	again, err := signed.profile(t.Context(), j)
	require.NoError(t, err)
	require.Equal(t, out.digest, again.digest)
}

func TestProvenanceSaysWhoWhereWhenAndWithWhat(t *testing.T) {
	_, res := llama(t)
	noon := time.Date(2026, 5, 1, 12, 0, 0, 999, time.FixedZone("CEST", 2*60*60))
	p := provenance(res, runFacts{
		where:      where{User: "runner", Host: "profile-7", Namespace: "dynamo"},
		invocation: "https://ci.example.com/7",
		image:      "example.com/runner:v1@sha256:abc",
		started:    noon, finished: noon.Add(time.Minute),
	})
	p.BuildDefinition.ExternalParameters = nil // the inputs, which the result has too
	p.RunDetails.Builder.Version["dynamo-profile-runner"] = "v1"
	got, err := json.Marshal(p)
	require.NoError(t, err)
	require.JSONEq(t, `{
		"buildDefinition": {
			"buildType": "",
			"externalParameters": null,
			"internalParameters": {
				"runner": {"user": "runner", "host": "profile-7", "namespace": "dynamo"},
				"gpus": {"system": "h200_sxm", "total": 8, "perNode": 8, "measured": false}
			},
			"resolvedDependencies": [
				{"uri": "pkg:pypi/aiconfigurator@0.12.0"},
				{"uri": "oci://example.com/runner:v1@sha256:abc", "digest": {"sha256": "abc"}}
			]
		},
		"runDetails": {
			"builder": {
				"id": "https://dynamo-cmp.github.io/dynamo-profile-runner",
				"version": {"dynamo-profile-runner": "v1", "aiconfigurator": "0.12.0"}
			},
			"metadata": {"invocationId": "https://ci.example.com/7", "startedOn": "2026-05-01T10:00:00Z", "finishedOn": "2026-05-01T10:01:00Z"}
		}
	}`, string(got))
}

func TestInvocationIsTheJobOfTheCISystem(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"": {},
		"https://github.com/org/repo/actions/runs/7": {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "org/repo", "GITHUB_RUN_ID": "7"},
		"https://gitlab.com/org/repo/-/jobs/7":       {"CI_JOB_URL": "https://gitlab.com/org/repo/-/jobs/7"},
	} {
		require.Equal(t, want, invocation(func(name string) string { return env[name] }))
	}
}
