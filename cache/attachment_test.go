package cache

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
)

// stores are one of each kind, empty.
func stores(t *testing.T) map[string]string {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	withAPI := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(withAPI.Close)
	tagSchema := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(tagSchema.Close)
	return map[string]string{
		"referrers API": repository(withAPI),
		"tag schema":    repository(tagSchema),
		"image layout":  "oci-layout:" + t.TempDir(),
	}
}

func bundle(text string) Attachment {
	return Attachment{MediaType: bundlePrefix + ".v0.3+json", Data: []byte(text), Annotations: map[string]string{"a": text}}
}

func TestAttachmentsAreThoseOfTheResult(t *testing.T) {
	for kind, ref := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			s := open(t, ref, Options{})
			d, other := put(t, s, sample(1, "1")), put(t, s, sample(2, "1"))
			for _, text := range []string{"one", "two", "one"} {
				require.NoError(t, s.Attach(t.Context(), d, bundle(text)))
			}
			found, err := s.Attachments(t.Context(), d)
			require.NoError(t, err)
			require.ElementsMatch(t, []Attachment{bundle("one"), bundle("two")}, found)
			found, err = s.Attachments(t.Context(), other)
			require.NoError(t, err)
			require.Empty(t, found)
		})
	}
}

func TestAttachmentToNoResult(t *testing.T) {
	for kind, ref := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			d := digestOf([]byte("nothing"))
			err := open(t, ref, Options{}).Attach(t.Context(), d, bundle("one"))
			require.ErrorIs(t, err, ErrNotFound)
			require.ErrorContains(t, err, string(d))
		})
	}
}

// What somebody else attaches is not read, and hides nothing.
func TestOtherReferrersArePassedOver(t *testing.T) {
	for kind, ref := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			s := open(t, ref, Options{})
			d := put(t, s, sample(1, "1"))
			require.NoError(t, s.Attach(t.Context(), d, Attachment{MediaType: "application/spdx+json", Data: []byte("{}")}))
			require.NoError(t, s.Attach(t.Context(), d, bundle("one")))
			found, err := s.Attachments(t.Context(), d)
			require.NoError(t, err)
			require.Equal(t, []Attachment{bundle("one")}, found)
		})
	}
}

// Whoever can push to a repository cannot make a reader fetch without end.
func TestAttachmentsAreBounded(t *testing.T) {
	s := open(t, "oci-layout:"+t.TempDir(), Options{})
	d := put(t, s, sample(1, "1"))
	for i := range maxAttachments + 5 {
		require.NoError(t, s.Attach(t.Context(), d, bundle(fmt.Sprint(i))))
	}
	found, err := s.Attachments(t.Context(), d)
	require.NoError(t, err)
	require.Len(t, found, maxAttachments)
	require.ErrorContains(t, s.Attach(t.Context(), d, bundle(string(make([]byte, maxAttachment+1)))), "more than the")
}

func TestChangedAttachment(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "oci-layout:"+dir, Options{})
	d := put(t, s, sample(1, "1"))
	require.NoError(t, s.Attach(t.Context(), d, bundle("one")))
	file := filepath.Join(dir, blobsDir, digestOf([]byte("one")).hex())
	require.NoError(t, os.WriteFile(file, []byte("two"), 0o600))
	_, err := s.Attachments(t.Context(), d)
	require.ErrorIs(t, err, ErrTampered)
	require.ErrorContains(t, err, string(d))

	// It stands in the way of no other.
	require.NoError(t, s.Attach(t.Context(), d, bundle("three")))
	found, err := s.Attachments(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, []Attachment{bundle("three")}, found)
}

func TestLocalAttachmentsNeedNoStore(t *testing.T) {
	for kind, ref := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			local := t.TempDir()
			s := open(t, ref, Options{LocalDir: local})
			d := put(t, s, sample(1, "1"))
			require.NoError(t, s.Attach(t.Context(), d, bundle("one")))
			require.Empty(t, s.LocalAttachments(d))
			_, err := s.Attachments(t.Context(), d)
			require.NoError(t, err)
			elsewhere := open(t, "oci-layout:"+filepath.Join(local, "none"), Options{LocalDir: local})
			require.Equal(t, []Attachment{bundle("one")}, elsewhere.LocalAttachments(d))
			require.Empty(t, elsewhere.LocalAttachments("sha256:../../etc/passwd"))
		})
	}
}

// A registry that answers an unknown path in its own way has no referrers API.
func TestReferrersFallBack(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	backend := serve(t)
	writer := open(t, repository(backend), Options{})
	d := put(t, writer, sample(1, "1"))
	require.NoError(t, writer.Attach(t.Context(), d, bundle("one")))
	for _, status := range withoutReferrers() {
		front := intercept(t, backend, func(w http.ResponseWriter, r *http.Request) bool {
			if filepath.Base(filepath.Dir(r.URL.Path)) != "referrers" {
				return false
			}
			w.WriteHeader(status)
			return true
		})
		found, err := open(t, repository(front), Options{}).Attachments(t.Context(), d)
		require.NoError(t, err, status)
		require.Equal(t, []Attachment{bundle("one")}, found, status)
	}
}

func TestReferrersOutage(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	front := intercept(t, serve(t), func(w http.ResponseWriter, r *http.Request) bool {
		if filepath.Base(filepath.Dir(r.URL.Path)) != "referrers" {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	s := open(t, repository(front), Options{})
	d := put(t, s, sample(1, "1"))
	_, err := s.Attachments(t.Context(), d)
	require.ErrorContains(t, err, string(d))
	require.ErrorContains(t, err, "status 403")
}
