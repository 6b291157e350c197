package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// reprofile is a program that does what a profile run would: it stores a result for
// the requests of DIR as they stand, made of the one that is locked under the first
// name of the lock, and locks it. CHANGE is tool=VERSION, pick=N of the alternatives,
// confidence=WORD or estimate=true.
func reprofile() {
	dir := os.Args[1]
	tree, rel, err := render.OpenTree(dir)
	fatal(err)
	src, err := tree.Load(rel)
	fatal(err)
	store, err := cache.Open(cache.Embedded(tree.Root(), rel), cache.Options{})
	fatal(err)
	data, err := os.ReadFile(filepath.Join(dir, cache.LockFile))
	fatal(err)
	lock, err := cache.ParseLock(cache.LockFile, data)
	fatal(err)
	fatal(os.Remove(filepath.Join(dir, cache.LockFile)))
	for _, req := range src.Requests {
		res, err := store.Get(context.Background(), lock.Profiles[0].Result)
		fatal(err)
		answer(res, req.Inputs().SLA)
		entry := cache.LockEntry{Name: req.Name, Key: req.Inputs().Key()}
		res.Inputs = req.Inputs()
		for _, change := range os.Args[2:] {
			what, value, _ := strings.Cut(change, "=")
			switch what {
			case "tool":
				res.Provenance.ToolVersion = value
			case "confidence":
				res.Confidence = profile.Confidence(value)
				if res.Confidence == profile.Naive {
					res = naive(req)
				}
			case "estimate":
				entry.Estimate, res.Inputs = true, req.Estimated().Inputs()
			case "pick":
				n, err := strconv.Atoi(value)
				fatal(err)
				res.Pick, res.Alternatives[n-1] = res.Alternatives[n-1], res.Pick
				answer(res, req.Inputs().SLA)
			default:
				fatal(fmt.Errorf("unknown change %q", change))
			}
		}
		entry.Confidence = res.Confidence
		entry.Profiler = res.Provenance.Tool + " " + res.Provenance.ToolVersion
		entry.Result, err = store.Put(context.Background(), res, nil)
		fatal(err)
		fatal(cache.UpdateLock(context.Background(), dir, []cache.LockEntry{entry}))
	}
}

// answer holds the pick of a result against other targets.
func answer(res *profile.Result, targets profile.Targets) {
	ttft, itl := targets.TTFTMillis-res.Pick.Expected.TTFTMillis, targets.ITLMillis-res.Pick.Expected.ITLMillis
	res.SLA = profile.SLAOutcome{Verified: true, Met: ttft >= 0 && itl >= 0, TTFTMarginMillis: &ttft, ITLMarginMillis: &itl}
}

// One line of one of 200 requests: how long does a reviewer wait?
func TestDiffOfAFleet(t *testing.T) {
	repo := t.TempDir()
	require.NoError(t, exec.Command("cp", "-r", "../../examples/gitops-repo/.", repo).Run())
	dgdr, err := os.ReadFile(filepath.Join(repo, "apps", "llama-70b", "dgdr.yaml"))
	require.NoError(t, err)
	lock, err := os.ReadFile(filepath.Join(repo, "apps", "llama-70b", cache.LockFile))
	require.NoError(t, err)
	for i := range 200 {
		name := fmt.Sprintf("m%03d", i)
		dir := filepath.Join(repo, "apps", name)
		require.NoError(t, os.Mkdir(dir, 0o755))
		for file, data := range map[string][]byte{"dgdr.yaml": dgdr, cache.LockFile: lock} {
			text := strings.Replace(string(data), "name: llama-70b", "name: "+name, 1)
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
		}
	}
	commitAll(t, repo)
	changed := filepath.Join(repo, "apps", "m100", "dgdr.yaml")
	text := strings.Replace(string(dgdr), "name: llama-70b", "name: m100", 1)
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(text, "itl: 50", "itl: 45", 1)), 0o644))
	program(t, repo, 0, "reprofile", "apps/m100")

	for _, args := range [][]string{{"diff", "--output", "markdown"}, {"diff", "--head", "HEAD", "--base", "HEAD~0"}} {
		start := time.Now()
		status := 2
		if slices.Contains(args, "--head") {
			status = 0
		}
		out := program(t, repo, status, "dynamo-cmp", args...)
		t.Logf("dynamo-cmp %s of %d directories: %s", strings.Join(args, " "), 203, time.Since(start).Round(time.Millisecond))
		if status == 2 {
			require.Contains(t, out, "- input sla.itlMillis 50, now 45\n")
			require.NotContains(t, out, "m099")
		}
	}
}

func commitAll(t *testing.T, repo string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "a"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = repo
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

// program runs one of the programs of TestMain and wants that status.
func program(t *testing.T, dir string, status int, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if status == 0 {
		require.NoError(t, err)
	} else {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, status, exit.ExitCode(), string(exit.Stderr))
	}
	return string(out)
}
