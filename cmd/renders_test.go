package cmd

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// renders is how many the next test makes: FULL=1 makes it a night's.
func renders() int {
	if os.Getenv("FULL") != "" {
		return 10_000
	}
	return 300
}

// While a store is written without pause, every render of a commit is the same bytes,
// or an error; never blank, never mixed.
func TestRendersUnderWrites(t *testing.T) {
	repo := exampleRepo(t)
	app := filepath.Join(repo, "apps", "llama-70b")
	want := run(t, repo, nil, cmp, "generate", app)
	require.Zero(t, want.status, want.stderr)
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	var written atomic.Int64
	for w := range 2 {
		writers.Go(func() {
			store, err := cache.Open("oci-layout:"+filepath.Join(repo, ".dynamo-cmp", "store"), cache.Options{})
			require.NoError(t, err)
			data, err := cache.ReadLock(app)
			require.NoError(t, err)
			lock, err := cache.ParseLock(cache.LockFile, data)
			require.NoError(t, err)
			res, err := store.Get(context.Background(), lock.Profiles[0].Result)
			require.NoError(t, err)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				res.Provenance.ToolVersion = strconv.Itoa(w) + "." + strconv.Itoa(n%50)
				_, err := store.Put(context.Background(), res, nil)
				require.NoError(t, err)
				written.Add(1)
			}
		})
	}
	next := make(chan struct{})
	var wrong atomic.Int64
	for range 4 {
		readers.Go(func() {
			for range next {
				did := run(t, repo, []string{"DYNAMO_CMP_CACHE_DIR="}, cmp, "generate", app)
				if did.status == 0 && did.stdout != want.stdout || did.status != 0 && did.stdout != "" {
					wrong.Add(1)
				}
				require.Zero(t, did.status, did.stderr) // nothing here is an error either
			}
		})
	}
	for range renders() {
		next <- struct{}{}
	}
	close(next)
	readers.Wait()
	close(stop)
	writers.Wait()
	require.Zero(t, wrong.Load())
	require.Positive(t, written.Load())
}
