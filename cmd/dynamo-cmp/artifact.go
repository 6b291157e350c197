package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What Flux's OCIRepository looks for (fluxcd/pkg, oci/oci.go).
const (
	fluxConfig  types.MediaType = "application/vnd.cncf.flux.config.v1+json"
	fluxContent types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"
)

// pushTimeout bounds a push: a registry that does not answer must not hang CI.
const pushTimeout = 5 * time.Minute

// push stores the files as an artifact with that tag and returns its reference
// by digest, as a line.
func push(ctx context.Context, ref string, files []file) (string, error) {
	tag, err := name.NewTag(ref, name.StrictValidation)
	if err != nil {
		return "", &codedError{exitInput, fmt.Errorf("--output: %s%s: want oci://REGISTRY/REPO:TAG", ociPrefix, clip(ref, 200))}
	}
	layer, err := archive(files)
	if err != nil {
		return "", fmt.Errorf("packing manifests: %w", err)
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(layer, fluxContent))
	if err != nil {
		return "", fmt.Errorf("packing manifests: %w", err)
	}
	img = mutate.ConfigMediaType(img, fluxConfig)
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("packing manifests: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	if err := remote.Write(tag, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("dynamo-cmp")); err != nil {
		return "", &codedError{exitStore, fmt.Errorf("pushing %s: %w", tag, err)}
	}
	return fmt.Sprintf("%s@%s\n", tag.Name(), digest), nil
}

// archive is a tar of the files in which nothing depends on when, where and by
// whom it was made.
func archive(files []file) ([]byte, error) {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if len(f.name) > 100 {
			header.Format = tar.FormatPAX
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
