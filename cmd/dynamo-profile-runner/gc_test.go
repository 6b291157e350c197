package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// resultNumber is a valid result, another for every i.
func resultNumber(i int) *profile.Result {
	return &profile.Result{
		Schema:     profile.ResultSchema,
		Inputs:     profile.Inputs{Schema: profile.InputsSchema, Model: fmt.Sprint("m", i%5), Backend: profile.BackendVLLM},
		Confidence: profile.Simulated,
		Pick: profile.Pick{Mode: profile.Aggregated, Backend: profile.BackendVLLM, System: "h200_sxm", TotalGPUs: 1,
			Roles: []profile.Role{{Name: profile.RoleWorker, Replicas: 1, GPUsPerEngine: 1,
				Parallelism: profile.Parallelism{TP: 1, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}}}},
		Provenance: profile.Provenance{Tool: "aiconfigurator", ToolVersion: fmt.Sprint(i)},
	}
}

// history is a repository and a store, and what is known of both: the commits with
// the lock of each application, what the refs name, when a result was pushed.
type history struct {
	t       *testing.T
	rand    *rand.Rand
	dir     string
	store   *cache.Store
	now     time.Time
	commits []commit
	refs    map[string]int // branches and tags, full names
	head    string
	edited  map[string]cache.Digest // locks of the checkout that differ from its commit
	pushed  map[cache.Digest]time.Time
}

type commit struct {
	parent int // -1 for none
	at     time.Time
	locks  map[string]cache.Digest // application -> result
}

func (h *history) git(args ...string) {
	h.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", h.dir, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_COMMITTER_DATE="+h.now.Format(time.RFC3339), "GIT_AUTHOR_DATE="+h.now.Format(time.RFC3339))
	out, err := cmd.CombinedOutput()
	require.NoError(h.t, err, "git %v: %s", args, out)
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{t: t, rand: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), refs: map[string]int{}, head: "refs/heads/main",
		edited: map[string]cache.Digest{}, pushed: map[cache.Digest]time.Time{}}
	h.now = time.Now().AddDate(0, 0, -60)
	store, err := cache.Open("oci-layout:"+filepath.Join(t.TempDir(), "store"), cache.Options{})
	require.NoError(t, err)
	h.store = store
	h.git("init", "-q", "-b", "main")
	h.push()
	h.lock("a", h.any())
	h.commit()
	return h
}

func (h *history) any() cache.Digest {
	return slices.Sorted(maps.Keys(h.pushed))[h.rand.IntN(len(h.pushed))]
}

func (h *history) push() {
	d, err := h.store.Put(h.t.Context(), resultNumber(h.rand.IntN(12)), nil)
	require.NoError(h.t, err)
	h.pushed[d] = h.now
	file := filepath.Join(strings.TrimPrefix(h.store.String(), "oci-layout:"), "blobs", "sha256", strings.TrimPrefix(string(d), "sha256:"))
	require.NoError(h.t, os.Chtimes(file, h.now, h.now))
}

// lock writes the lock of an application; one in four is in conflict.
func (h *history) lock(app string, d cache.Digest) {
	text := fmt.Sprintf("profiles:\n  - name: %s\n    result: %s\n", app, d)
	if h.rand.IntN(4) == 0 {
		text = "<<<<<<< ours\n" + text + "=======\n>>>>>>> theirs\n"
	}
	require.NoError(h.t, os.MkdirAll(filepath.Join(h.dir, "apps", app), 0o755))
	require.NoError(h.t, os.WriteFile(filepath.Join(h.dir, "apps", app, cache.LockFile), []byte(text), 0o644))
	h.edited[app] = d
}

func (h *history) commit() {
	if len(h.edited) == 0 {
		return
	}
	parent, ok := h.refs[h.head]
	locks := map[string]cache.Digest{}
	if !ok {
		parent = -1
	} else {
		maps.Copy(locks, h.commits[parent].locks)
	}
	maps.Copy(locks, h.edited)
	h.git("add", "-A")
	h.git("commit", "-q", "--allow-empty", "-m", "x")
	h.commits = append(h.commits, commit{parent, h.now, locks})
	h.refs[h.head] = len(h.commits) - 1
	clear(h.edited)
}

// step does one thing that people do.
func (h *history) step(i int) {
	h.now = h.now.Add(time.Duration(h.rand.IntN(5*24)) * time.Hour)
	if latest := time.Now().Add(-time.Minute); h.now.After(latest) {
		h.now = latest
	}
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(h.refs)), func(ref string) bool { return ref == h.head })
	switch n := h.rand.IntN(10); {
	case n < 3:
		h.push()
	case n < 5:
		h.lock([]string{"a", "b", "c"}[h.rand.IntN(3)], h.any())
	case n < 7:
		h.commit()
	case n == 7:
		h.commit()
		branch := fmt.Sprint("b", i)
		h.git("checkout", "-q", "-b", branch)
		h.refs["refs/heads/"+branch], h.head = h.refs[h.head], "refs/heads/"+branch
	case n == 8:
		ref := []string{fmt.Sprint("refs/tags/t", i), fmt.Sprint("refs/remotes/origin/r", i), fmt.Sprint("refs/pull/", i)}[h.rand.IntN(3)]
		h.git("update-ref", ref, "HEAD")
		h.refs[ref] = h.refs[h.head]
	case n == 9 && len(others) > 0:
		ref := others[h.rand.IntN(len(others))]
		h.git("update-ref", "-d", ref)
		delete(h.refs, ref)
	}
}

// inUse are the results that a ref, the checkout, or the history since then names.
func (h *history) inUse(since time.Time) map[cache.Digest]bool {
	use := map[cache.Digest]bool{}
	for _, tip := range h.refs {
		for _, d := range h.commits[tip].locks {
			use[d] = true
		}
		for at := tip; at >= 0; at = h.commits[at].parent {
			c := h.commits[at]
			if c.at.Before(since) {
				continue
			}
			for app, d := range c.locks {
				before := cache.Digest("")
				if c.parent >= 0 {
					before = h.commits[c.parent].locks[app]
				}
				if before != d {
					use[before], use[d] = true, true
				}
			}
		}
	}
	for _, d := range h.edited {
		use[d] = true
	}
	return use
}

// Over random histories, gc deletes no digest that is reached, and every other one
// that is older than the grace period.
func TestGCOverRandomHistories(t *testing.T) {
	const grace = 14 * 24 * time.Hour
	deleted, kept := 0, 0
	for seed := range uint64(12) {
		h := newHistory(t, seed)
		for i := range 30 {
			h.step(i)
		}
		since := time.Now().Add(-grace)
		use := h.inUse(since)
		want := map[cache.Digest]bool{}
		for d, at := range h.pushed {
			if use[d] || at.After(since) {
				want[d] = true
			}
		}
		o := gcOptions{store: h.store.String(), repos: []string{h.dir}, grace: days(grace)}
		_, swept, err := gc(t.Context(), o, &steps{progress: newProgress(nil)})
		require.NoError(t, err)
		all, err := h.store.Artifacts(t.Context())
		require.NoError(t, err)
		got := map[cache.Digest]bool{}
		for _, a := range all {
			got[a.Digest] = true
			_, err := h.store.Get(t.Context(), a.Digest)
			require.NoError(t, err)
		}
		require.Equal(t, want, got, "history %d", seed)
		deleted, kept = deleted+len(swept.Deleted), kept+len(got)
	}
	require.Greater(t, deleted, 12) // the histories are worth looking at
	require.Greater(t, kept, 24)
}
