package cache

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// A push to a registry that ends at any byte leaves what was there readable, names
// nothing that is not whole, and the next push completes it.
func TestRegistryPushEndsAtAnyByte(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := serve(t)
	direct := open(t, repository(server), Options{})
	first := put(t, direct, sample(0, "1"), sampleFiles()...)
	var left atomic.Int64
	var pushed atomic.Int64
	front := intercept(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return false
		}
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		pushed.Add(int64(len(body)) + 1)
		if left.Add(-int64(len(body))-1) < 0 {
			panic(http.ErrAbortHandler) // the writer is gone: a registry takes no part of a body
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return false
	})
	broken := open(t, repository(front), Options{})
	left.Store(1 << 40)
	put(t, broken, sample(1, "1"), sampleFiles()...)
	total := pushed.Load()
	require.Positive(t, total)
	for n, i := int64(0), 2; n < total; n, i = n+total/24, i+1 {
		left.Store(n)
		_, err := broken.Put(t.Context(), sample(i, "1"), []profile.File{{Name: "raw", MediaType: "text/csv", Data: []byte{byte(i)}}})
		res, findErr := direct.Find(t.Context(), sample(i, "1").Inputs.Key())
		if findErr == nil {
			_, findErr = direct.Files(t.Context(), res)
			require.NoError(t, findErr, "the tag of a push that ended after %d bytes", n)
		} else {
			require.Error(t, err)
			require.ErrorIs(t, findErr, ErrNotFound)
		}
		_, err = direct.Files(t.Context(), first)
		require.NoError(t, err)
		_, err = direct.Artifacts(t.Context())
		require.NoError(t, err)
		put(t, direct, sample(i, "1"), profile.File{Name: "raw", MediaType: "text/csv", Data: []byte{byte(i)}})
	}
}

// Sixteen runners on one store and one lock lose neither a result nor an entry.
func TestSixteenWritersLoseNothing(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	const runners, each = 16, 3
	for name, ref := range map[string]string{
		"layout":   layoutPrefix + filepath.Join(t.TempDir(), "store"),
		"registry": repository(serve(t)),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var all []*exec.Cmd
			for r := range runners { // each result is put by two of them
				all = append(all, startChild(t, "put", ref, r*each, r*each+2*each), startChild(t, "lock", dir, r*each, r*each+2*each))
			}
			for _, cmd := range all {
				require.NoError(t, cmd.Wait())
			}
			data, err := os.ReadFile(filepath.Join(dir, LockFile))
			require.NoError(t, err)
			lock, err := ParseLock(LockFile, data)
			require.NoError(t, err)
			require.Len(t, lock.Profiles, (runners+1)*each)
			s := open(t, ref, Options{})
			for i := range (runners + 1) * each {
				require.Equal(t, lockEntry(i), lock.Profiles[i])
				d, err := s.Find(t.Context(), sample(i, "1").Inputs.Key())
				require.NoError(t, err)
				_, err = s.Files(t.Context(), d)
				require.NoError(t, err)
			}
			require.Len(t, held(t, s), (runners+1)*each)
		})
	}
}
