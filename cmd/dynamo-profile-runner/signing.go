package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// signing is how new results are signed, if they are.
type signing struct {
	key   string // file
	image string // of the runner itself

	signer *trust.Signer // nil where nothing is signed
}

// passwordVariable is where cosign looks for the password of a private key.
const passwordVariable = "COSIGN_PASSWORD"

func (s *signing) keyFlag(f *pflag.FlagSet) {
	f.StringVar(&s.key, "signing-key", "", "private key in PEM that signs results: of cosign generate-key-pair, whose password is in "+passwordVariable+", or not encrypted")
}

// load reads the key, before hours are spent on what it has to sign.
func (s *signing) load() error {
	if s.key == "" {
		return nil
	}
	signer, err := trust.LoadSigner(s.key, os.Getenv(passwordVariable))
	if err != nil {
		return &usageError{fmt.Errorf("--signing-key: %w", err)}
	}
	s.signer = signer
	return nil
}

// put stores a new result, signed and attested where there is a key.
func (s *signing) put(ctx context.Context, store *cache.Store, res *profile.Result, files []profile.File, started time.Time) (cache.Digest, error) {
	if s.signer == nil {
		return store.Put(ctx, res, files)
	}
	run := here()
	run.image, run.started, run.finished = s.image, started, time.Now()
	return store.PutAttached(ctx, res, files, func(d cache.Digest) ([]cache.Attachment, error) {
		attestation, err := s.signer.Attest(d, provenance(res, run))
		if err != nil {
			return nil, err
		}
		signed, err := s.signed(ctx, store, d)
		if err != nil || signed {
			return []cache.Attachment{attestation}, err
		}
		signature, err := s.signer.Sign(d)
		return []cache.Attachment{attestation, signature}, err
	})
}

// signed is whether the key has signed the result already.
func (s *signing) signed(ctx context.Context, store *cache.Store, d cache.Digest) (bool, error) {
	_, err := s.signer.Keys().VerifyStored(ctx, store, d)
	if errors.Is(err, trust.ErrUntrusted) || errors.Is(err, cache.ErrTampered) {
		return false, nil
	}
	return err == nil, err
}

// where is who runs the profiler, and where.
type where struct {
	User      string `json:"user"`
	Host      string `json:"host,omitempty"`      // in a cluster, the pod
	Namespace string `json:"namespace,omitempty"` // in a cluster
}

// runFacts are the facts of one run.
type runFacts struct {
	where
	invocation        string
	image             string
	started, finished time.Time
}

// here finds out where this process runs. What cannot be known is left out.
func here() runFacts {
	run := runFacts{invocation: invocation(os.Getenv)}
	run.User = strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		run.User = u.Username
	}
	run.Host, _ = os.Hostname()
	// Mounted into every pod that has a service account.
	namespace, _ := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	run.Namespace = strings.TrimSpace(string(namespace))
	return run
}

// invocation is the address of the job of a CI system, as GitHub and GitLab say it.
func invocation(env func(string) string) string {
	if run := env("GITHUB_RUN_ID"); run != "" {
		return env("GITHUB_SERVER_URL") + "/" + env("GITHUB_REPOSITORY") + "/actions/runs/" + run
	}
	return env("CI_JOB_URL")
}

// gpuFacts are the GPUs that an answer is about.
type gpuFacts struct {
	System   string `json:"system"`
	Total    int    `json:"total"`
	PerNode  int    `json:"perNode"`
	Measured bool   `json:"measured"` // false: nothing ran on them
}

// provenance is what the runner attests of a result that it made.
func provenance(res *profile.Result, run runFacts) trust.Provenance {
	h := res.Inputs.Hardware
	p := trust.Provenance{
		BuildDefinition: trust.BuildDefinition{
			ExternalParameters: map[string]any{"key": res.Inputs.Key(), "inputs": res.Inputs},
			InternalParameters: map[string]any{
				"runner": run.where,
				"gpus":   gpuFacts{h.System, h.TotalGPUs, h.GPUsPerNode, res.Confidence == profile.Measured},
			},
		},
		RunDetails: trust.RunDetails{
			Builder: trust.Builder{
				ID:      "https://dynamo-cmp.github.io/dynamo-profile-runner",
				Version: map[string]string{"dynamo-profile-runner": version(), res.Provenance.Tool: res.Provenance.ToolVersion},
			},
			Metadata: trust.RunMetadata{
				InvocationID: run.invocation,
				StartedOn:    run.started.UTC().Truncate(time.Second),
				FinishedOn:   run.finished.UTC().Truncate(time.Second),
			},
		},
	}
	dependencies := []trust.Dependency{{URI: "pkg:pypi/" + res.Provenance.Tool + "@" + res.Provenance.ToolVersion}}
	for _, image := range []string{res.Inputs.RuntimeImage, run.image} {
		if image != "" {
			dependencies = append(dependencies, imageDependency(image))
		}
	}
	p.BuildDefinition.ResolvedDependencies = dependencies
	return p
}

func imageDependency(image string) trust.Dependency {
	d := trust.Dependency{URI: "oci://" + image}
	if _, digits, ok := strings.Cut(image, "@sha256:"); ok {
		d.Digest = map[string]string{"sha256": digits}
	}
	return d
}
