package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// With --estimate, a request that was measured keeps its result, which is read from the
// store once.
func TestEstimateReadsOnce(t *testing.T) {
	j, res := llama(t)
	j.req.Spec.SearchStrategy = profile.StrategyThorough
	j, res.Inputs = j.with(j.req), j.req.Inputs()
	dir := t.TempDir()
	r := runner{opts: runOptions{store: "oci-layout:" + dir}, progress: newProgress(nil)}
	store, err := cache.Open(r.opts.store, cache.Options{})
	require.NoError(t, err)
	digest, err := store.Put(t.Context(), res, nil)
	require.NoError(t, err)

	jobs := r.estimates(t.Context(), []job{j})
	require.Equal(t, j.req, jobs[0].req)
	require.NoError(t, os.RemoveAll(dir))
	found, _, err := r.lookup(t.Context(), store, jobs[0])
	require.NoError(t, err)
	require.Equal(t, digest, found)
}
