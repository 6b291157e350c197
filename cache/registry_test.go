package cache

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

// intercept is a proxy before a registry; fault answers instead of it when it
// returns true.
func intercept(t *testing.T, backend *httptest.Server, fault func(http.ResponseWriter, *http.Request) bool) *httptest.Server {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r) {
			backend.Config.Handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front
}

func TestRegistryIsReadByOtherTools(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	repo := repository(serve(t))
	put(t, open(t, repo, Options{}), sample(1, "1"), sampleFiles()...)
	ref, err := name.ParseReference(repo + ":" + keyTag(sample(1, "1").Inputs.Key()))
	require.NoError(t, err)
	img, err := remote.Image(ref)
	require.NoError(t, err)
	require.NoError(t, validate.Image(img))
}

func TestRegistrySecondPutUploadsNothing(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var writes atomic.Int32
	front := intercept(t, serve(t), func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writes.Add(1)
		}
		require.Contains(t, r.UserAgent(), userAgent)
		return false
	})
	s := open(t, repository(front), Options{})
	put(t, s, sample(1, "1"), sampleFiles()...)
	first := writes.Load()
	require.Positive(t, first)
	put(t, s, sample(1, "1"), sampleFiles()...)
	require.Equal(t, first, writes.Load())
}

// TestRegistryFaults injects a fault into every read of a stored result.
func TestRegistryFaults(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	isBlob := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }
	isManifest := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); _, _ = io.WriteString(w, body) }
	}
	truncated := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	}
	for _, c := range []struct {
		name   string
		on     func(*http.Request) bool
		fault  http.HandlerFunc
		target error
		want   string
	}{
		{"a manifest that is another", isManifest, status(200, "{}"), ErrTampered, "blob DIGEST: the bytes do not match the digest"},
		{"a blob that is another", isBlob, status(200, "{}"), ErrTampered, "the bytes do not match the digest"},
		{"an endless blob", isBlob, status(200, strings.Repeat("x", 1<<20)), ErrTampered, "the bytes do not match the digest"},
		{"a huge manifest", isManifest, status(200, strings.Repeat(" ", maxManifest+1)), nil, "manifest is larger than 1048576 bytes"},
		{"a lost blob", isBlob, status(404, ""), ErrNotFound, "not found"},
		{"a manifest cut short", isManifest, truncated, io.ErrUnexpectedEOF, "reading DIGEST: unexpected EOF"},
		{"a blob cut short", isBlob, truncated, io.ErrUnexpectedEOF, "unexpected EOF"},
		{"a broken server", isBlob, status(500, "<html>\n<p>long</p>"), nil, "status 500 Internal Server Error"},
		{"no rights", isManifest, status(403, `{"errors":[{"code":"DENIED","message":"no\nentry"}]}`), nil, "status 403 Forbidden: DENIED: no entry"},
		{"no account", func(*http.Request) bool { return true }, status(401, ""), nil, "status 401 Unauthorized"},
		{"no registry at all", func(*http.Request) bool { return true }, status(404, "<html>"), nil, "status 404 Not Found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			backend := serve(t)
			d := put(t, open(t, repository(backend), Options{}), sample(1, "1"))
			front := intercept(t, backend, func(w http.ResponseWriter, r *http.Request) bool {
				if !c.on(r) {
					return false
				}
				c.fault(w, r)
				return true
			})
			local := t.TempDir()
			s := open(t, repository(front), Options{LocalDir: local})
			_, err := s.Get(t.Context(), d)
			require.ErrorContains(t, err, "fetching result "+string(d)+" from "+s.String()+": ")
			require.ErrorContains(t, err, strings.ReplaceAll(c.want, "DIGEST", string(d)))
			require.NotContains(t, err.Error(), "\n")
			if c.target != nil {
				require.ErrorIs(t, err, c.target)
			} else {
				require.NotErrorIs(t, err, ErrNotFound)
				require.NotErrorIs(t, err, ErrTampered)
			}
			// No fault leaves a local copy that a later read would trip over.
			_, err = open(t, repository(backend), Options{LocalDir: local}).Get(t.Context(), d)
			require.NoError(t, err)
		})
	}
}

func TestRegistryRecoversFromAFlake(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var faults atomic.Int32
	front := intercept(t, serve(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || faults.Add(1)%2 == 0 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	s := open(t, repository(front), Options{})
	d := put(t, s, sample(1, "1"))
	_, err := s.Get(t.Context(), d)
	require.NoError(t, err)
}

func TestRegistryUnreachable(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := serve(t)
	s := open(t, repository(server), Options{})
	server.Close()
	_, err := s.Get(t.Context(), digestOf(nil))
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, ErrNotFound)
	_, err = s.Put(t.Context(), sample(1, "1"), nil)
	require.ErrorContains(t, err, "connection refused")
}

func TestRegistryCredentials(t *testing.T) {
	const account = "me:secret-word"
	backend := serve(t)
	front := intercept(t, backend, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte(account)) {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	config := t.TempDir()
	t.Setenv("DOCKER_CONFIG", config)
	login := func(account string) {
		auths := fmt.Sprintf(`{"auths":{"%s":{"auth":"%s"}}}`, strings.TrimPrefix(front.URL, "http://"), base64.StdEncoding.EncodeToString([]byte(account)))
		require.NoError(t, os.WriteFile(filepath.Join(config, "config.json"), []byte(auths), 0o600))
	}
	login("me:wrong-word")
	_, err := open(t, repository(front), Options{}).Put(t.Context(), sample(1, "1"), nil)
	require.ErrorContains(t, err, "status 401 Unauthorized")
	require.NotContains(t, err.Error(), "wrong-word")
	login(account)
	s := open(t, repository(front), Options{})
	d := put(t, s, sample(1, "1"))
	_, err = s.Get(t.Context(), d)
	require.NoError(t, err)
}

// A blob may be redirected to storage whose address is itself a credential.
func TestRegistryRedirect(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	backend := serve(t)
	var storage *httptest.Server
	storage = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.Header.Get("Authorization"))
		r.URL.RawQuery = ""
		backend.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(storage.Close)
	front := intercept(t, backend, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		http.Redirect(w, r, storage.URL+r.URL.Path+"?"+url.Values{"X-Signature": {"secret-word"}}.Encode(), http.StatusTemporaryRedirect)
		return true
	})
	s := open(t, repository(front), Options{})
	d := put(t, s, sample(1, "1"))
	_, err := s.Get(t.Context(), d)
	require.NoError(t, err)
	storage.Close()
	_, err = s.Get(t.Context(), d)
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "secret-word")
}

func TestRegistryHangs(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	release := make(chan struct{})
	front := intercept(t, serve(t), func(_ http.ResponseWriter, _ *http.Request) bool { <-release; return false })
	t.Cleanup(func() { close(release) }) // before the server waits for its requests
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := open(t, repository(front), Options{}).Get(ctx, digestOf(nil))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestRegistryInsecure(t *testing.T) {
	r, err := newRegistry("registry.example/team/profiles", false)
	require.NoError(t, err)
	require.Equal(t, "https", r.repo.Scheme())
	r, err = newRegistry("registry.example/team/profiles", true)
	require.NoError(t, err)
	require.Equal(t, "http", r.repo.Scheme())
	r, err = newRegistry("localhost:5000/profiles", false)
	require.NoError(t, err)
	require.Equal(t, "http", r.repo.Scheme())
}

func TestOpenRefuses(t *testing.T) {
	for ref, want := range map[string]string{
		"":                          `opening store "": is neither oci-layout:PATH nor REGISTRY/REPOSITORY`,
		"oci-layout:":               `opening store "oci-layout:": the path is empty`,
		"profiles":                  `opening store "profiles": is neither oci-layout:PATH nor REGISTRY/REPOSITORY`,
		"team/profiles":             `opening store "team/profiles": is neither oci-layout:PATH nor REGISTRY/REPOSITORY`,
		"http://host.example/x":     `opening store "http://host.example/x": is neither oci-layout:PATH nor REGISTRY/REPOSITORY`,
		"me:secret@host.example/x":  "opening store: a reference holds no credentials and no digest; to sign in, use docker login or its config.json",
		"oci://me:s@host.example/x": "opening store: a reference holds no credentials and no digest; to sign in, use docker login or its config.json",
	} {
		_, err := Open(ref, Options{})
		require.EqualError(t, err, want)
	}
	_, err := Open("host.example/UPPER:latest", Options{})
	require.ErrorContains(t, err, "opening store: ")
}
