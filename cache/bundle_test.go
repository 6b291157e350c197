package cache

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

func bundleOf(t *testing.T, s *Store, results ...Digest) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := WriteBundle(t.Context(), &b, []Selection{{s, results}}, []Image{{"example.com/a:1", []string{"apps/a"}}})
	require.NoError(t, err)
	return b.Bytes()
}

// A bundle goes from any kind of store to any other, and is the same bytes again
// from there.
func TestBundleRoundTrip(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	from := open(t, layoutPrefix+t.TempDir(), Options{})
	first := put(t, from, sample(1, "1"), sampleFiles()...)
	second := put(t, from, sample(1, "2")) // of the same key
	other := put(t, from, sample(2, "1"))
	put(t, from, sample(3, "1")) // stays at home
	signature := refer(t, from, second, "signed")
	countersignature := refer(t, from, signature, "signed again")
	data := bundleOf(t, from, second, other, first)
	require.Equal(t, data, bundleOf(t, from, first, second, other))

	for name, ref := range map[string]string{
		"layout":                     layoutPrefix + filepath.Join(t.TempDir(), "store"),
		"registry without referrers": repository(serve(t)),
		"registry with referrers":    repository(serveReferrers(t)),
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t, ref, Options{})
			for range 2 { // the second changes nothing
				b, err := LoadBundle(t.Context(), bytes.NewReader(data), to)
				require.NoError(t, err)
				want := &Bundled{Results: []Digest{first, second, other}, Referrers: []Digest{signature, countersignature},
					Images: []Image{{"example.com/a:1", []string{"apps/a"}}}}
				sortDigests(&want.Results)
				sortDigests(&want.Referrers)
				require.Equal(t, want, b)
			}
			require.ElementsMatch(t, []Digest{first, second, other, signature, countersignature}, append(held(t, to), missing(t, to, signature, countersignature)...))
			found, err := to.Find(t.Context(), sample(1, "1").Inputs.Key())
			require.NoError(t, err)
			require.Equal(t, first, found)
			files, err := to.Files(t.Context(), first)
			require.NoError(t, err)
			require.Len(t, files, len(sampleFiles()))
			require.Equal(t, data, bundleOf(t, to, first, second, other))
		})
	}
}

// missing are those of the digests that a store has, although it does not list
// them: a registry lists what has a tag.
func missing(t *testing.T, s *Store, digests ...Digest) []Digest {
	t.Helper()
	var out []Digest
	listed := held(t, s)
	for _, d := range digests {
		if _, err := s.backend.manifest(t.Context(), d); err == nil && !containsDigest(listed, d) {
			out = append(out, d)
		}
	}
	return out
}

func containsDigest(all []Digest, d Digest) bool {
	for _, one := range all {
		if one == d {
			return true
		}
	}
	return false
}

func TestBundleIsReadByOtherTools(t *testing.T) {
	from := open(t, layoutPrefix+t.TempDir(), Options{})
	d := put(t, from, sample(1, "1"), sampleFiles()...)
	refer(t, from, d, "signed")
	dir := t.TempDir()
	require.NoError(t, readTar(t.Context(), bytes.NewReader(bundleOf(t, from, d)), dir))
	index, err := ggcrlayout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	m, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, m.Manifests, 3)
}

// rewrite gives every file of a tar to change, which returns its new name and bytes.
func rewrite(t *testing.T, data []byte, change func(name string, content []byte) (string, []byte)) []byte {
	t.Helper()
	var b bytes.Buffer
	tw, tr := tar.NewWriter(&b), tar.NewReader(bytes.NewReader(data))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			require.NoError(t, tw.Close())
			return b.Bytes()
		}
		require.NoError(t, err)
		content, err := io.ReadAll(tr)
		require.NoError(t, err)
		h.Name, content = change(h.Name, content)
		h.Size = int64(len(content))
		require.NoError(t, tw.WriteHeader(h))
		_, err = tw.Write(content)
		require.NoError(t, err)
	}
}

// Any changed byte, a missing end and a name that leaves the archive are refused,
// and nothing is stored.
func TestBundleRefused(t *testing.T) {
	from := open(t, layoutPrefix+t.TempDir(), Options{})
	d := put(t, from, sample(1, "1"), sampleFiles()...)
	signature := refer(t, from, d, "signed")
	data := bundleOf(t, from, d)
	changed := func(digest Digest) []byte {
		return rewrite(t, data, func(name string, content []byte) (string, []byte) {
			if filepath.Base(name) == digest.hex() {
				content = append(content, ' ')
			}
			return name, content
		})
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"a changed manifest":  {changed(d), string(d)},
		"a changed signature": {changed(signature), string(signature)},
		"a changed file":      {changed(digestOf(sampleFiles()[0].Data)), string(digestOf(sampleFiles()[0].Data))},
		"a name that leaves":  {rewrite(t, data, func(name string, c []byte) (string, []byte) { return "../" + name, c }), `"../oci-layout" is no file of an OCI image layout`},
		"half of it":          {data[:len(data)/2], "reading bundle: "},
		"no archive":          {bytes.Repeat([]byte("hello"), 200), "reading bundle: is it a tar archive?"},
		"nothing":             {nil, "reading bundle: index.json: not found"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			_, err := LoadBundle(t.Context(), bytes.NewReader(c.data), open(t, layoutPrefix+dir, Options{}))
			require.ErrorContains(t, err, c.want)
			_, err = os.Stat(dir)
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}
