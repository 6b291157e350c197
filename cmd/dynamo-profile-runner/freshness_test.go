package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	registries "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/rapid"
)

func TestFreshness(t *testing.T) {
	simulated := func(version, tables string) *profile.Result {
		return &profile.Result{Inputs: profile.Inputs{Strategy: profile.StrategyRapid, Model: "acme/m", Revision: "abc"},
			Pick:       profile.Pick{System: "h200_sxm", Backend: "vllm", BackendVersion: tables},
			Provenance: profile.Provenance{Tool: "aiconfigurator", ToolVersion: version, Database: "silicon"}}
	}
	measured := func(ran string) *profile.Result {
		return &profile.Result{Inputs: profile.Inputs{Strategy: profile.StrategyThorough, RuntimeImage: "registry.example.com/vllm-runtime:1.5.1"},
			Pick:       profile.Pick{System: "h200_sxm", Backend: "vllm"},
			Provenance: profile.Provenance{Tool: "aiperf", ToolVersion: "0.13.0", Enumerator: "aiconfigurator 0.12.0", Image: ran}}
	}
	for _, c := range []struct {
		name  string
		res   *profile.Result
		image []string
		hub   string
		want  verdict
	}{
		{"nothing moved", simulated("0.12.0", "0.24.0"), nil, "abc", verdict{}},
		{"a newer AIConfigurator", simulated("0.9.1", "0.24.0"), nil, "abc", verdict{reasons: []string{"aiconfigurator 0.9.1, now 0.12.0"}}},
		{"an older AIConfigurator here", simulated("0.13.0", "0.24.0"), nil, "abc", verdict{unknown: []string{"made by aiconfigurator 0.13.0, newer than the 0.12.0 that is installed"}}},
		{"a release after its candidate", simulated("0.12.0rc1", "0.24.0"), nil, "abc", verdict{reasons: []string{"aiconfigurator 0.12.0rc1, now 0.12.0"}}},
		{"newer tables", simulated("0.12.0", "0.20.0"), nil, "abc", verdict{reasons: []string{"tables of vllm on h200_sxm 0.20.0, now 0.24.0"}}},
		{"a model that moved", simulated("0.12.0", "0.24.0"), nil, "def", verdict{reasons: []string{"model acme/m is at def, the request names snapshot abc; to follow: set spec.modelCache.pvcModelPath"}}},
		{"a hub that does not answer", simulated("0.12.0", "0.24.0"), nil, "", verdict{unknown: []string{"model acme/m: no answer"}}},
		{"the image's own digest", measured("registry.example.com/vllm-runtime@sha256:1"), []string{"sha256:1", "sha256:2"}, "", verdict{}},
		{"that of a platform", measured("registry.example.com/vllm-runtime@sha256:2"), []string{"sha256:1", "sha256:2"}, "", verdict{}},
		{"an image that moved", measured("registry.example.com/vllm-runtime@sha256:0"), []string{"sha256:1", "sha256:2"}, "", verdict{reasons: []string{"image registry.example.com/vllm-runtime:1.5.1 was sha256:0, now sha256:1"}}},
		{"a registry that does not answer", measured("registry.example.com/vllm-runtime@sha256:0"), nil, "", verdict{unknown: []string{"image registry.example.com/vllm-runtime:1.5.1: no answer"}}},
		{"an image without a digest", measured(""), nil, "", verdict{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &freshness{
				installed: func(_ context.Context, system string, backend profile.Backend, database string) (rapid.Installed, error) {
					in := rapid.Installed{Tool: "aiconfigurator", Version: "0.12.0"}
					if database != "" {
						in.Tables = "0.24.0"
					}
					return in, nil
				},
				image: func(context.Context, string) ([]string, error) {
					if c.image == nil {
						return nil, errors.New("no answer")
					}
					return c.image, nil
				},
				revision: func(context.Context, string) (string, error) {
					if c.hub == "" {
						return "", errors.New("no answer")
					}
					return c.hub, nil
				},
			}
			got, err := f.of(t.Context(), c.res)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// A tag means its index and the images in it, in a registry as it is.
func TestImageDigests(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	index, err := random.Index(16, 1, 2)
	require.NoError(t, err)
	ref, err := name.ParseReference(host + "/runtime:1.5.1")
	require.NoError(t, err)
	require.NoError(t, registries.WriteIndex(ref, index))
	digest, err := index.Digest()
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	got, err := imageDigests(t.Context(), ref.String())
	require.NoError(t, err)
	require.Equal(t, []string{digest.String(), manifest.Manifests[0].Digest.String(), manifest.Manifests[1].Digest.String()}, got)
	_, err = imageDigests(t.Context(), host+"/runtime:gone")
	require.ErrorContains(t, err, "MANIFEST_UNKNOWN")
}

func TestHubRevision(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") + " " + r.URL.Path {
		case "Bearer t0ken /api/models/acme/m/revision/main":
			_, _ = w.Write([]byte(`{"id": "acme/m", "sha": "0123", "tags": []}`))
		case "Bearer t0ken /api/models/acme/odd/revision/main":
			_, _ = w.Write([]byte(`[]`))
		default:
			http.Error(w, "no", http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_TOKEN", "t0ken")
	got, err := hubRevision(t.Context(), "acme/m")
	require.NoError(t, err)
	require.Equal(t, "0123", got)
	_, err = hubRevision(t.Context(), "acme/odd")
	require.EqualError(t, err, "the hub's answer names no commit")
	_, err = hubRevision(t.Context(), "acme/private")
	require.EqualError(t, err, "the hub answers 401 Unauthorized")
}
