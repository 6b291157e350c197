package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// BenchmarkGenerate runs the whole process, and beside it the one that a user
// would run on manifests that are already there: kustomize build of the same
// output. Time and memory are also given as multiples of kustomize's.
func BenchmarkGenerate(b *testing.B) {
	kustomize := os.Getenv("DYNAMO_CMP_KUSTOMIZE")
	if kustomize == "" {
		b.Skip("no kustomize to compare with: make bench installs one and sets DYNAMO_CMP_KUSTOMIZE")
	}
	bin := filepath.Join(b.TempDir(), "dynamo-cmp")
	out, err := exec.Command("go", "build", "-trimpath", "-o", bin, ".").CombinedOutput()
	require.NoError(b, err, string(out))
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := fleet(b, n)
			stream, err := exec.Command(bin, "generate", dir).Output()
			require.NoError(b, err)
			overlay := b.TempDir()
			require.NoError(b, os.WriteFile(filepath.Join(overlay, "all.yaml"), stream, 0o644))
			require.NoError(b, os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte("resources: [all.yaml]\n"), 0o644))
			var ours, theirs usage
			for b.Loop() {
				ours.add(b, bin, "generate", dir)
				theirs.add(b, kustomize, "build", overlay)
			}
			b.ReportMetric(0, "ns/op") // of both together: meaningless
			b.ReportMetric(ours.seconds/float64(b.N)*1000, "ms")
			b.ReportMetric(float64(ours.kib)/1024, "MiB")
			b.ReportMetric(ours.seconds/theirs.seconds, "x-kustomize-time")
			b.ReportMetric(float64(ours.kib)/float64(theirs.kib), "x-kustomize-memory")
		})
	}
}

// usage sums the wall time of runs and keeps the highest memory of one.
type usage struct {
	seconds float64
	kib     int64
}

func (u *usage) add(b *testing.B, argv ...string) {
	cmd := exec.Command(argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	require.NoError(b, cmd.Start())
	done := make(chan error)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			require.NoError(b, err, stderr.String())
			u.seconds += time.Since(start).Seconds()
			return
		case <-time.After(time.Millisecond):
			u.kib = max(u.kib, peakKiB(cmd.Process.Pid))
		}
	}
}

// peakKiB is the most memory that a process has held since it was executed. What
// wait reports of a child begins with the memory of its parent.
func peakKiB(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it ended
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	fmt.Sscan(rest, &kib)
	return kib
}

// fleet is a directory with n requests like the llama-70b example, each locked.
func fleet(b *testing.B, n int) string {
	repo := b.TempDir()
	require.NoError(b, exec.Command("cp", "-r", "../../examples/gitops-repo/.", repo).Run())
	require.NoError(b, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
	app := filepath.Join(repo, "apps", "llama-70b")
	dgdr, err := os.ReadFile(filepath.Join(app, "dgdr.yaml"))
	require.NoError(b, err)
	data, err := os.ReadFile(filepath.Join(app, cache.LockFile))
	require.NoError(b, err)
	lock, err := cache.ParseLock(cache.LockFile, data)
	require.NoError(b, err)
	dir := filepath.Join(repo, "apps", "fleet")
	require.NoError(b, os.Mkdir(dir, 0o755))
	entries := make([]cache.LockEntry, n)
	for i := range n {
		entries[i] = lock.Profiles[0]
		entries[i].Name = fmt.Sprintf("m%03d", i)
		text := strings.Replace(string(dgdr), "name: llama-70b", "name: "+entries[i].Name, 1)
		require.NoError(b, os.WriteFile(filepath.Join(dir, entries[i].Name+".yaml"), []byte(text), 0o644))
	}
	require.NoError(b, cache.UpdateLock(b.Context(), dir, entries))
	return dir
}
