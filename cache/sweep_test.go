package cache

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
)

// refer stores something about an artifact, as a signature is, and returns its digest.
func refer(t *testing.T, s *Store, subject Digest, text string) Digest {
	t.Helper()
	data, err := s.backend.manifest(t.Context(), subject)
	require.NoError(t, err)
	a := &artifact{kind: kindOfSignature()}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: a.kind.mediaType,
		Config:  a.add(emptyConfigType, []byte(emptyConfig)),
		Layers:  []v1.Descriptor{a.add("text/plain", []byte(text))},
		Subject: &v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(data)), Digest: v1.Hash{Algorithm: "sha256", Hex: subject.hex()}},
	}
	a.manifest, err = json.Marshal(m)
	require.NoError(t, err)
	a.digest = digestOf(a.manifest)
	require.NoError(t, s.backend.put(t.Context(), a, ""))
	return a.digest
}

// held are the digests that a store lists.
func held(t *testing.T, s *Store) []Digest {
	t.Helper()
	all, err := s.Artifacts(t.Context())
	require.NoError(t, err)
	return digestsOf(all)
}

func digestsOf(artifacts []Artifact) []Digest {
	var out []Digest
	for _, a := range artifacts {
		out = append(out, a.Digest)
	}
	return out
}

// serveReferrers is a registry with the referrers API.
func serveReferrers(t *testing.T) *httptest.Server {
	server := httptest.NewServer(ggcrregistry.New(ggcrregistry.Logger(log.New(io.Discard, "", 0)), ggcrregistry.WithReferrersSupport(true)))
	t.Cleanup(server.Close)
	return server
}

// TestSweep holds what a sweep takes and leaves in every kind of store.
func TestSweep(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for name, ref := range map[string]func(*testing.T) string{
		"layout":                     func(t *testing.T) string { return layoutPrefix + t.TempDir() },
		"registry with referrers":    func(t *testing.T) string { return repository(serveReferrers(t)) },
		"registry without referrers": func(t *testing.T) string { return repository(serve(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, ref(t), Options{})
			kept := put(t, s, sample(1, "1"), sampleFiles()...)
			keptSignature := refer(t, s, kept, "kept")
			old := put(t, s, sample(2, "1"), sampleFiles()...)
			second := put(t, s, sample(2, "2")) // the key's tag is taken
			signature := refer(t, s, second, "first")
			countersignature := refer(t, s, signature, "second")
			require.NoError(t, s.PutMeasurement(t.Context(), digestOf([]byte("m")), []byte("{}"), nil))
			measurement, err := s.backend.find(t.Context(), measurementTag(digestOf([]byte("m"))))
			require.NoError(t, err)
			keep := map[Digest]bool{kept: true}
			before := held(t, s)

			young, err := s.Sweep(t.Context(), Sweep{Keep: keep, Before: time.Now().Add(-time.Hour)})
			require.NoError(t, err)
			require.Empty(t, young.Deleted)

			all := Sweep{Keep: keep, Before: time.Now().AddDate(0, 0, 1), DryRun: true}
			dry, err := s.Sweep(t.Context(), all)
			require.NoError(t, err)
			require.ElementsMatch(t, []Digest{old, second, signature, countersignature, measurement}, digestsOf(dry.Deleted))
			require.Equal(t, countersignature, dry.Deleted[0].Digest)
			require.Equal(t, signature, dry.Deleted[1].Digest)
			require.Equal(t, before, held(t, s))

			all.DryRun = false
			swept, err := s.Sweep(t.Context(), all)
			require.NoError(t, err)
			require.Equal(t, dry, swept)
			require.Contains(t, held(t, s), kept)
			for _, gone := range append(digestsOf(swept.Deleted), "") {
				require.NotContains(t, held(t, s), gone)
			}
			_, err = s.Files(t.Context(), kept)
			require.NoError(t, err)
			_, err = s.backend.manifest(t.Context(), keptSignature)
			require.NoError(t, err)
			for _, gone := range []Digest{old, second, signature, countersignature, measurement} {
				_, err = s.backend.manifest(t.Context(), gone)
				require.ErrorIs(t, err, ErrNotFound)
			}
			for _, gone := range []Digest{second, signature} {
				_, err = s.backend.find(t.Context(), referrersTag(gone))
				require.ErrorIs(t, err, ErrNotFound)
			}
			again, err := s.Sweep(t.Context(), all)
			require.NoError(t, err)
			require.Empty(t, again.Deleted)
			require.Equal(t, old, put(t, s, sample(2, "1"), sampleFiles()...)) // and its tag is free again
			found, err := s.Find(t.Context(), sample(2, "1").Inputs.Key())
			require.NoError(t, err)
			require.Equal(t, old, found)
		})
	}
}

func everything() Sweep { return Sweep{Before: time.Now().AddDate(0, 0, 1)} }

// A tag that somebody set keeps a result, and what is not ours is nobody's to take.
func TestSweepLeavesWhatOthersNamed(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	repo := repository(serve(t))
	s := open(t, repo, Options{})
	d := put(t, s, sample(1, "1"))
	data, err := s.backend.manifest(t.Context(), d)
	require.NoError(t, err)
	a := &artifact{kind: resultKind, digest: d, manifest: data}
	ref, err := name.NewTag(repo + ":production")
	require.NoError(t, err)
	got, err := remote.Get(ref.Context().Digest(string(a.digest)))
	require.NoError(t, err)
	require.NoError(t, remote.Tag(ref, got))
	swept, err := s.Sweep(t.Context(), everything())
	require.NoError(t, err)
	require.Empty(t, swept.Deleted)
}

// What an earlier version pushed has no date: its age counts from the first sweep.
func TestSweepDatesWhatHasNoDate(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := open(t, repository(serve(t)), Options{})
	d := put(t, s, sample(1, "1"))
	r := s.backend.(*registry)
	require.NoError(t, r.delete(t.Context(), r.repo.Tag(pushedTag(d, time.Now()))))
	swept, err := s.Sweep(t.Context(), everything())
	require.NoError(t, err)
	require.Equal(t, []Digest{d}, swept.Dated)
	require.Empty(t, swept.Deleted)
	swept, err = s.Sweep(t.Context(), everything())
	require.NoError(t, err)
	require.Equal(t, []Digest{d}, digestsOf(swept.Deleted))
}

func TestSweepWhereDeletionIsForbidden(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for code, want := range map[int]string{
		http.StatusMethodNotAllowed: "the registry forbids deletion (status 405 Method Not Allowed); to allow it in the distribution registry: REGISTRY_STORAGE_DELETE_ENABLED=true",
		http.StatusForbidden:        "these credentials may not delete (status 403 Forbidden); to sign in with others: docker login ",
	} {
		front := intercept(t, serve(t), func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodDelete {
				w.WriteHeader(code)
			}
			return r.Method == http.MethodDelete
		})
		s := open(t, repository(front), Options{})
		d := put(t, s, sample(1, "1"))
		_, err := s.Sweep(t.Context(), everything())
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, string(d))
		_, err = s.Get(t.Context(), d)
		require.NoError(t, err)
	}
}

func TestPushedTag(t *testing.T) {
	now := time.Date(2026, 3, 1, 23, 30, 0, 0, time.FixedZone("", -3600))
	d := digestOf([]byte("x"))
	tag := pushedTag(d, now)
	require.True(t, strings.HasPrefix(tag, "pushed-20260302-sha256-"), tag)
	got, at, ok := parsePushed(tag)
	require.True(t, ok)
	require.Equal(t, d, got)
	require.Equal(t, time.Date(2026, 3, 2, 23, 59, 59, 0, time.UTC), at)
	for _, bad := range []string{"pushed-2026-" + d.hex(), "pushed-20260302-sha256-xyz", keyTag("sha256:" + "0"), "latest"} {
		_, _, ok := parsePushed(bad)
		require.False(t, ok, bad)
	}
}

// A sweep that is killed after the index was written leaves blobs; the next one
// takes them once no writer can be about to name them.
func TestSweepOfALayoutTakesStrayBlobs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, layoutPrefix+dir, Options{})
	d := put(t, s, sample(1, "1"), sampleFiles()...)
	stray, fresh := filepath.Join(dir, blobsDir, digestOf([]byte("stray")).hex()), filepath.Join(dir, blobsDir, digestOf([]byte("fresh")).hex())
	for _, file := range []string{stray, fresh} {
		require.NoError(t, os.WriteFile(file, nil, 0o644))
	}
	long := time.Now().Add(-2 * strayAge)
	require.NoError(t, os.Chtimes(stray, long, long))
	_, err := s.Sweep(t.Context(), Sweep{Keep: map[Digest]bool{d: true}})
	require.NoError(t, err)
	require.NoFileExists(t, stray)
	require.FileExists(t, fresh)
	require.NoError(t, os.Remove(fresh))
	requireValid(t, dir, 1)
	_, err = s.Sweep(t.Context(), everything())
	require.NoError(t, err)
	requireValid(t, dir, 0)
	entries, err := os.ReadDir(filepath.Join(dir, blobsDir))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestSweepOfNothing(t *testing.T) {
	s := open(t, layoutPrefix+filepath.Join(t.TempDir(), "none"), Options{})
	_, err := s.Sweep(t.Context(), everything())
	require.ErrorIs(t, err, ErrNotFound)
}

// What was attached by tag goes and stays with its subject, in every kind of store.
func TestSweepOfWhatCosignAttachedByTag(t *testing.T) {
	for kind, ref := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			s := open(t, ref, Options{})
			attach := func(subject Digest) Digest {
				a, err := newArtifact(kindOfSignature(), []byte(subject), nil)
				require.NoError(t, err)
				require.NoError(t, s.backend.put(t.Context(), a, referrersTag(subject)+".sig"))
				return a.digest
			}
			kept, old := put(t, s, sample(1, "1")), put(t, s, sample(2, "1"))
			keptSignature, signature := attach(kept), attach(old)
			swept, err := s.Sweep(t.Context(), Sweep{Keep: map[Digest]bool{kept: true}, Before: time.Now().AddDate(0, 0, 1)})
			require.NoError(t, err)
			require.Equal(t, []Digest{signature, old}, digestsOf(swept.Deleted))
			require.ElementsMatch(t, []Digest{kept, keptSignature}, held(t, s))
		})
	}
}

func kindOfSignature() kind { return kind{"signature", "application/vnd.test.signature", "signature"} }

// A referrer that somebody named outlives its subject.
func TestSweepLeavesANamedReferrer(t *testing.T) {
	for kind, ref := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			s := open(t, ref, Options{})
			d := put(t, s, sample(1, "1"))
			a, err := newAttachment(d, 1, bundle("one"))
			require.NoError(t, err)
			require.NoError(t, s.backend.put(t.Context(), a, "evidence"))
			swept, err := s.Sweep(t.Context(), everything())
			require.NoError(t, err)
			require.Equal(t, []Digest{d}, digestsOf(swept.Deleted))
			require.Equal(t, []Digest{a.digest}, held(t, s))
		})
	}
}
