package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// brokenWire is a network on which call number at fails, and with lasting every
// later one too.
type brokenWire struct {
	real    http.RoundTripper
	at      int32
	lasting bool
	how     string // before, after or within: when the call fails
	calls   atomic.Int32
}

var errWire = errors.New("the wire is cut")

func (b *brokenWire) RoundTrip(r *http.Request) (*http.Response, error) {
	if n := b.calls.Add(1); n < b.at || n > b.at && !b.lasting {
		return b.real.RoundTrip(r)
	}
	if b.how == "before" {
		return nil, errWire
	}
	resp, err := b.real.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if b.how == "after" { // the server has done it, and nobody hears of it
		return nil, errWire
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{}))
	return resp, err
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errWire }

// Every HTTP call of every operation fails in turn: before it reaches the registry,
// after it did, and within the answer; once and for good. The operation gives its
// whole answer or an error, what was there stays readable, nothing new is named before
// it is whole, and the same operation succeeds once the network is back.
func TestRegistryEveryCallFails(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	one, two := sample(1, "1"), sample(2, "1")
	about := Attachment{MediaType: bundlePrefix + ".v0.3+json", Data: []byte(`{"a":1}`)}
	operations := map[string]func(ctx context.Context, s *Store, first Digest) (any, error){
		"put":   func(ctx context.Context, s *Store, _ Digest) (any, error) { return s.Put(ctx, two, sampleFiles()) },
		"get":   func(ctx context.Context, s *Store, d Digest) (any, error) { return s.Get(ctx, d) },
		"files": func(ctx context.Context, s *Store, d Digest) (any, error) { return s.Files(ctx, d) },
		"find":  func(ctx context.Context, s *Store, _ Digest) (any, error) { return s.Find(ctx, one.Inputs.Key()) },
		"list": func(ctx context.Context, s *Store, _ Digest) (any, error) {
			all, err := s.Artifacts(ctx)
			return len(all), err
		},
		"attach":      func(ctx context.Context, s *Store, d Digest) (any, error) { return nil, s.Attach(ctx, d, about) },
		"attachments": func(ctx context.Context, s *Store, d Digest) (any, error) { return s.Attachments(ctx, d) },
	}
	for name, operation := range operations {
		run := func(t *testing.T, at int, lasting bool, how string) (calls int) {
			server := serve(t)
			direct := open(t, repository(server), Options{})
			first := put(t, direct, one, sampleFiles()...)
			require.NoError(t, direct.Attach(t.Context(), first, about))
			want, err := operation(t.Context(), open(t, repository(server), Options{}), first)
			require.NoError(t, err)
			if name == "put" { // into a registry that has not got it
				server = serve(t)
				direct = open(t, repository(server), Options{})
				require.Equal(t, first, put(t, direct, one, sampleFiles()...))
			}
			wire, s := cut(t, server, int32(at), lasting, how)
			got, err := operation(t.Context(), s, first)
			if err == nil {
				require.Equal(t, want, got)
			} else {
				require.NotErrorIs(t, err, ErrNotFound, "an outage is not an absence")
				require.NotErrorIs(t, err, ErrTampered)
			}
			requireNothingLost(t, direct, first, s.local)
			again, err := operation(t.Context(), open(t, repository(server), Options{LocalDir: s.local.dir}), first)
			require.NoError(t, err)
			require.Equal(t, want, again)
			return int(wire.calls.Load())
		}
		calls := run(t, 0, false, "before")
		require.Positive(t, calls, name)
		for at := 1; at <= calls; at++ {
			for _, how := range []string{"before", "after", "within"} {
				for _, lasting := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%d/%s/lasting=%t", name, at, how, lasting), func(t *testing.T) {
						t.Parallel() // they wait, mostly, between attempts
						run(t, at, lasting, how)
					})
				}
			}
		}
	}
}

// cut is a store behind a wire that breaks.
func cut(t *testing.T, server *httptest.Server, at int32, lasting bool, how string) (*brokenWire, *Store) {
	t.Helper()
	s := open(t, repository(server), Options{LocalDir: t.TempDir()})
	r := s.backend.(*registry)
	wire := &brokenWire{real: r.plain, at: at, lasting: lasting, how: how}
	r.plain = wire
	return wire, s
}

// requireNothingLost holds that the first result is whole, that the second is whole or
// not there, and that what was kept locally is.
func requireNothingLost(t *testing.T, direct *Store, first Digest, local *localDir) {
	t.Helper()
	files, err := direct.Files(t.Context(), first)
	require.NoError(t, err)
	require.Len(t, files, len(sampleFiles()))
	found, err := direct.Find(t.Context(), sample(1, "1").Inputs.Key())
	require.NoError(t, err)
	require.Equal(t, first, found)
	second, err := direct.Find(t.Context(), sample(2, "1").Inputs.Key())
	if err != nil {
		require.ErrorIs(t, err, ErrNotFound)
	} else {
		_, err = direct.Files(t.Context(), second)
		require.NoError(t, err)
	}
	kept := &Store{backend: direct.backend, local: local}
	res, err := kept.Get(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, sample(1, "1"), res)
}
