package main

import (
	"context"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// buildPlugin builds the image of the sidecar: one static binary and nothing else.
// Argo CD mounts its own entry point, which is static as well, into it.
func buildPlugin(ctx context.Context, dir string, platforms []string) error {
	scratch, err := os.MkdirTemp("", "images")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	images := map[string]v1.Image{}
	var binary string
	for _, platform := range platforms {
		if binary, err = compile(ctx, "dynamo-cmp", platform, scratch); err != nil {
			return err
		}
		layer, err := layerOf(binary, "/usr/local/bin/dynamo-cmp")
		if err != nil {
			return err
		}
		images[platform], err = image(mutate.MediaType(empty.Image, types.OCIManifestSchema1), platform, v1.Config{
			Entrypoint: []string{"/usr/local/bin/dynamo-cmp"},
			Env:        []string{"PATH=/usr/local/bin"},
			User:       "999:999", // Argo CD's own user
		}, layer)
		if err != nil {
			return err
		}
	}
	if err := write(dir, images, platforms); err != nil {
		return err
	}
	return writeSBOM(dir, binary)
}

// image is a base with layers on top and a configuration.
func image(base v1.Image, platform string, config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(base, types.OCIConfigJSON)
	for _, layer := range layers {
		var err error
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "dynamo-cmp images"}})
		if err != nil {
			return nil, err
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = platformOf(platform)
	file.Config = config
	file.Created = v1.Time{Time: epoch}
	return mutate.ConfigFile(img, file)
}
