package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const userAgent = "dynamo-cmp"

// A read must leave Argo CD time to say why it failed (it ends a plugin after 60 to
// 90 seconds); a write may carry tens of megabytes.
const (
	readTimeout  = 30 * time.Second
	writeTimeout = 10 * time.Minute
)

// registry is a repository of an OCI registry.
type registry struct {
	repo  name.Repository
	plain http.RoundTripper // without credentials

	mu     sync.Mutex
	client *http.Client // with credentials; nil before the first read
}

func newRegistry(ref string, insecure bool) (*registry, error) {
	if strings.Contains(ref, "@") {
		return nil, errors.New("opening store: a reference holds no credentials and no digest; to sign in, use docker login or its config.json")
	}
	host, _, ok := strings.Cut(ref, "/")
	if !ok || strings.Contains(ref, "//") || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return nil, fmt.Errorf("opening store %q: is neither oci-layout:PATH nor REGISTRY/REPOSITORY", shorten(ref))
	}
	var opts []name.Option
	if insecure {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(ref, opts...)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	return &registry{repo: repo, plain: newTransport()}, nil
}

func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   8,
	}
}

// backoff makes three attempts within a second.
func backoff() transport.Backoff {
	return transport.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 3}
}

func (r *registry) String() string {
	return r.repo.Name()
}

func (r *registry) manifest(ctx context.Context, d Digest) ([]byte, error) {
	return r.fetch(ctx, "manifests", string(d), maxManifest)
}

func (r *registry) blob(ctx context.Context, d Digest, limit int64) ([]byte, error) {
	return r.fetch(ctx, "blobs", string(d), limit)
}

// find hashes the manifest itself: the header that names its digest is optional.
func (r *registry) find(ctx context.Context, tag string) (Digest, error) {
	data, err := r.fetch(ctx, "manifests", tag, maxManifest)
	if err != nil {
		return "", err
	}
	if len(data) > maxManifest {
		return "", fmt.Errorf("manifest is larger than %d bytes", maxManifest)
	}
	return digestOf(data), nil
}

// fetch gets an object of the distribution API (its specification, "Pulling
// manifests", "Pulling blobs") without looking at the bytes.
func (r *registry) fetch(ctx context.Context, kind, ref string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	client, err := r.authenticated(ctx)
	if err != nil {
		return nil, describe(ctx, err)
	}
	u := url.URL{Scheme: r.repo.Scheme(), Host: r.repo.RegistryStr(), Path: "/v2/" + r.repo.RepositoryStr() + "/" + kind + "/" + ref}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "manifests": // or the index that lists referrers, or that of another tool
		req.Header.Set("Accept", string(types.OCIManifestSchema1)+","+string(types.OCIImageIndex))
	case "referrers":
		req.Header.Set("Accept", string(types.OCIImageIndex))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, describe(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound || kind == "referrers" && slices.Contains(withoutReferrers(), resp.StatusCode) {
		return nil, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, describe(ctx, err)
	}
	data, err := readAll(resp.Body, min(max(resp.ContentLength, 0), limit), limit)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, describe(ctx, err))
	}
	return data, nil
}

// authenticated asks the registry once how it wants to be spoken to.
func (r *registry) authenticated(ctx context.Context) (*http.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, r.repo)
	if err != nil {
		return nil, err
	}
	retry := transport.NewRetry(r.plain, transport.WithRetryBackoff(backoff()), transport.WithRetryStatusCodes(retryStatuses()...))
	agent := transport.NewUserAgent(retry, userAgent)
	rt, err := transport.NewWithContext(ctx, r.repo.Registry, auth, agent, []string{r.repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	r.client = &http.Client{Transport: rt}
	return r.client, nil
}

func retryStatuses() []int {
	return []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
}

// put pushes by digest first, so that what a tag names is always there. Registries
// have no compare-and-swap: of two writers that both find the tag free, the later
// one keeps it.
func (r *registry) put(ctx context.Context, a *artifact, tag string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	img, err := partial.CompressedToImage(image{a})
	if err != nil {
		return err
	}
	pusher, err := remote.NewPusher(r.options(ctx)...)
	if err != nil {
		return err
	}
	if err := pusher.Push(ctx, r.repo.Digest(string(a.digest)), img); err != nil {
		return describe(ctx, err)
	}
	for _, tag := range []string{pushedTag(a.digest, time.Now()), tag} {
		if tag == "" {
			continue
		}
		switch _, err := r.find(ctx, tag); {
		case err == nil:
			continue
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if err := pusher.Put(ctx, r.repo.Tag(tag), img); err != nil {
			return describe(ctx, err)
		}
	}
	return nil
}

func (r *registry) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(r.plain),
		remote.WithUserAgent(userAgent), remote.WithRetryBackoff(backoff()), remote.WithRetryStatusCodes(retryStatuses()...)}
}

// describe drops from an error what does not belong in a message: addresses that a
// redirect signed, and pages of HTML.
func describe(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // and not the error of one of the attempts that it ended
	}
	var status *transport.Error
	if errors.As(err, &status) {
		return errors.New(statusText(status))
	}
	var address *url.Error
	if errors.As(err, &address) {
		return address.Err
	}
	return err
}

func statusText(e *transport.Error) string {
	parts := []string{fmt.Sprintf("status %d %s", e.StatusCode, http.StatusText(e.StatusCode))}
	for _, d := range e.Errors {
		parts = append(parts, shorten(strings.Join(strings.Fields(string(d.Code)+": "+d.Message), " ")))
	}
	return strings.Join(parts, ": ")
}

// image shows an artifact to the library that pushes it.
type image struct {
	a *artifact
}

func (i image) RawManifest() ([]byte, error)        { return i.a.manifest, nil }
func (i image) RawConfigFile() ([]byte, error)      { return i.a.blobs[0].data, nil }
func (i image) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (i image) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, b := range i.a.blobs {
		if b.digest.hex() == h.Hex {
			return static.NewLayer(b.data, b.mediaType), nil
		}
	}
	return nil, fmt.Errorf("blob %s: %w", h, ErrNotFound)
}
