package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// The artifact has the media types and the layer that Flux looks for, the bytes of
// generate, and the same digest each time.
func TestRenderArtifact(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/rendered/qwen:production"
	const app = "../../examples/gitops-repo/apps/qwen-small"
	args := []string{"render", app, "--output", "oci://" + ref, "--cache-dir", ""}
	first, err := exec.Command("dynamo-cmp", args...).Output()
	require.NoError(t, err)
	second, err := exec.Command("dynamo-cmp", args...).Output()
	require.NoError(t, err)
	require.Equal(t, string(first), string(second))

	tag, err := name.NewTag(ref)
	require.NoError(t, err)
	img, err := remote.Image(tag)
	require.NoError(t, err)
	digest, err := img.Digest()
	require.NoError(t, err)
	require.Equal(t, ref+"@"+digest.String()+"\n", string(first))
	manifest, err := img.Manifest()
	require.NoError(t, err)
	require.EqualValues(t, "application/vnd.oci.image.manifest.v1+json", manifest.MediaType)
	require.EqualValues(t, "application/vnd.cncf.flux.config.v1+json", manifest.Config.MediaType)
	require.Len(t, manifest.Layers, 1)
	require.EqualValues(t, "application/vnd.cncf.flux.content.v1.tar+gzip", manifest.Layers[0].MediaType)

	layers, err := img.Layers()
	require.NoError(t, err)
	layer, err := layers[0].Compressed()
	require.NoError(t, err)
	stream, err := exec.Command("dynamo-cmp", "generate", app, "--cache-dir", "").Output()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"dynamographdeployment_qwen-small-dgd.yaml": string(stream)}, unpack(t, layer))
}

func unpack(t *testing.T, layer io.Reader) map[string]string {
	zip, err := gzip.NewReader(layer)
	require.NoError(t, err)
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		require.Zero(t, header.ModTime.Unix())
		var b bytes.Buffer
		_, err = io.Copy(&b, r)
		require.NoError(t, err)
		files[header.Name] = b.String()
	}
}
