package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	registries "github.com/google/go-containerregistry/pkg/v1/remote"
)

// upstreamTimeout bounds a question whose answer is nice to have.
const upstreamTimeout = 20 * time.Second

// imageDigests are the digests that a tag means: its own, then those of its platforms,
// as container runtimes report either.
func imageDigests(ctx context.Context, image string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	ref, err := name.ParseReference(image)
	if err != nil {
		return nil, err
	}
	got, err := registries.Get(ref, registries.WithContext(ctx), registries.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, err
	}
	digests := []string{got.Digest.String()}
	if !got.MediaType.IsIndex() {
		return digests, nil
	}
	index, err := got.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, m := range manifest.Manifests {
		digests = append(digests, m.Digest.String())
	}
	return digests, nil
}

// hubRevision is the commit that a model's main branch is at, as the Hugging Face Hub
// says (its API, /api/models/{id}/revision/{revision}). HF_ENDPOINT and HF_TOKEN are
// those of huggingface_hub.
func hubRevision(ctx context.Context, model string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	endpoint := os.Getenv("HF_ENDPOINT")
	if endpoint == "" {
		endpoint = "https://huggingface.co"
	}
	at, err := url.JoinPath(endpoint, "api/models", model, "revision/main")
	if err != nil {
		return "", errors.New("HF_ENDPOINT is no URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", err
	}
	if token := strings.TrimSpace(os.Getenv("HF_TOKEN")); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the hub answers %s", resp.Status)
	}
	var answer struct {
		SHA string `json:"sha"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 16<<20)).Decode(&answer); err != nil || answer.SHA == "" {
		return "", errors.New("the hub's answer names no commit")
	}
	return answer.SHA, nil
}
