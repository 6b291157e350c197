package cache

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestManifest holds the bytes of a manifest: another form would give every result
// that somebody locked a second digest.
func TestManifest(t *testing.T) {
	res := sample(1000, "1")
	data, err := res.Encode()
	require.NoError(t, err)
	a, err := newArtifact(resultKind, data, sampleFiles()[:2])
	require.NoError(t, err)
	require.Equal(t, strings.Join([]string{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[`,
		fmt.Sprintf(`{"mediaType":"application/vnd.dynamo-cmp.result.v1+json","size":%d,"digest":"%s","annotations":{"org.opencontainers.image.title":"result.json"}},`, len(data), digestOf(data)),
		`{"mediaType":"text/csv","size":5,"digest":"sha256:81c8f54160961d737f5de54ed3ffb87630dba910ac08a87048af48c92eeae648","annotations":{"org.opencontainers.image.title":"best_agg.csv"}},`,
		`{"mediaType":"text/csv","size":13,"digest":"sha256:3930552cbaace1ef5f6901ac29b81e00dff9607a4ab3f5724a31851d0c1e22e9","annotations":{"org.opencontainers.image.title":"pareto.csv"}}],`,
		`"artifactType":"application/vnd.dynamo-cmp.result.v1+json"}`,
	}, ""), string(a.manifest))
}

// Manifests that are what their digest says, and still no results.
func TestParseManifestRefuses(t *testing.T) {
	data, err := sample(1, "1").Encode()
	require.NoError(t, err)
	a, err := newArtifact(resultKind, data, sampleFiles())
	require.NoError(t, err)
	_, err = parseManifest(resultKind, a.manifest)
	require.NoError(t, err)
	for _, c := range []struct{ old, new, want string }{
		{`"schemaVersion":2`, `"schemaVersion":1`, `is no profiling result`},
		{`"artifactType":"application/vnd.dynamo-cmp.result.v1+json"`, `"artifactType":"image"`, `is no profiling result: media type "application/vnd.oci.image.manifest.v1+json", artifact type "image"`},
		{`oci.empty.v1+json`, `oci.image.config.v1+json`, `config of the manifest is not the empty one`},
		{`[{"mediaType":"application/vnd.dynamo-cmp.result.v1+json"`, `[{"mediaType":"text/csv"`, `first layer of the manifest is not a profiling result`},
		{`"best_agg.csv"`, `"../best_agg.csv"`, `layer 1 of the manifest: title "../best_agg.csv": is not a plain file name`},
		{`"best_agg.csv"`, `"empty.csv"`, `layer 2 of the manifest: name "empty.csv" is taken`},
		{`"size":5`, `"size":-5`, `layer 1 of the manifest: is -5 bytes`},
		{`"size":5`, `"size":99999999999`, `layer 1 of the manifest: is 99999999999 bytes, more than the 67108864 allowed`},
		{`"layers":[`, `"layers":7,"x":[`, `decoding manifest`},
	} {
		changed := bytes.Replace(a.manifest, []byte(c.old), []byte(c.new), 1)
		require.NotEqual(t, string(a.manifest), string(changed), c.old)
		_, err := parseManifest(resultKind, changed)
		require.ErrorContains(t, err, c.want)
	}
}
