package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestThoroughKilled kills the runner at random moments: it always ends in the same
// result, measures nothing twice that was kept, and leaves nothing.
func TestThoroughKilled(t *testing.T) {
	if !full() {
		t.Skip("takes minutes: FULL=1 runs it")
	}
	const kills = 20
	ns := newNights(t)
	ns.env = append(ns.env, "FAKE_AIPERF_SECONDS=1")
	n := ns.night(t)
	began := time.Now()
	whole, _ := n.run(t)
	took := time.Since(began)
	require.Empty(t, whole.Error)

	for store, killed := 0, 0; killed < kills; store++ {
		// The same request, in a store that knows nothing of it.
		require.NoError(t, os.Remove(filepath.Join(n.dir, "apps/qwen/dynamo.lock")))
		args := n.args
		n.args = append(slices.Clone(args), "--store", "oci-layout:"+filepath.Join(n.dir, fmt.Sprint("store-", store)))
		done := map[string]bool{}
		for killed < kills {
			after := time.Duration(rand.Float64() * float64(took))
			cmd := n.command(t)
			report := &strings.Builder{}
			cmd.Stdout = report
			said := n.start(t, cmd)
			time.AfterFunc(after, func() { cmd.Process.Kill() })
			err := cmd.Wait()
			n.requireNoneAgain(t, done, said.String())
			if err == nil {
				break // it was done before
			}
			if cmd.ProcessState.Exited() { // too slow a machine for so short a lease
				require.Regexp(t, "another runner measures it|the lease of the key is lost", report.String())
				continue
			}
			killed++
			t.Logf("kill %d, in store %d after %s", killed, store, after.Round(time.Millisecond))
		}
		row, said := n.run(t)
		require.Empty(t, row.Error)
		n.requireNoneAgain(t, done, said)
		require.Equal(t, whole.Digest, row.Digest)
		n.args = args
	}
}

// requireNoneAgain holds that a run did not deploy what is done, and notes what it did.
func (n *night) requireNoneAgain(t *testing.T, done map[string]bool, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "qwen: ")
		if engine, ok := strings.CutSuffix(line, " deploys"); ok {
			require.False(t, done[engine], "%s is measured again:\n%s", engine, said)
		}
		if engine, ok := strings.CutSuffix(line, " is done, and kept"); ok {
			done[engine] = true
		}
	}
}
