package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=T", "-c", "user.email=t@example.com"}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

// originOf is a bare repository with as many applications as asked, whose locks are
// missing. Without a text for their requests, the results are in the store.
func originOf(t *testing.T, apps int, request string) string {
	t.Helper()
	repo, origin := t.TempDir(), filepath.Join(t.TempDir(), "origin.git")
	require.NoError(t, exec.Command("cp", "-r", "../../examples/gitops-repo/.", repo).Run())
	dgdr, err := os.ReadFile(filepath.Join(repo, "apps/qwen-small/dgdr.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(repo, "apps")))
	request = cmp.Or(request, string(dgdr))
	for i := range apps {
		name := fmt.Sprintf("app-%02d", i)
		require.NoError(t, os.MkdirAll(filepath.Join(repo, "apps", name), 0o755))
		text := strings.NewReplacer("name: qwen-small", "name: "+name, "isl: 1000", fmt.Sprint("isl: ", 1000+i)).Replace(request)
		require.NoError(t, os.WriteFile(filepath.Join(repo, "apps", name, "dgdr.yaml"), []byte(text), 0o644))
	}
	git(t, repo, "init", "--quiet", "--initial-branch=main")
	git(t, repo, "add", "--all")
	git(t, repo, "commit", "--quiet", "-m", "Applications")
	git(t, repo, "clone", "--quiet", "--bare", ".", origin)
	return origin
}

// Runners that push to one branch at the same time each keep what the others pushed.
func TestPushesAtOnceLoseNothing(t *testing.T) {
	const apps = 8
	origin := originOf(t, apps, "")
	var runners []*exec.Cmd
	var said []*strings.Builder
	for i := range apps {
		cmd := exec.Command("dynamo-profile-runner", "run", fmt.Sprintf("apps/app-%02d", i), "--repo", "file://"+origin, "--push-branch", "profiles")
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=R", "GIT_AUTHOR_EMAIL=r@example.com", "GIT_COMMITTER_NAME=R", "GIT_COMMITTER_EMAIL=r@example.com")
		stderr := &strings.Builder{}
		cmd.Stderr = stderr
		require.NoError(t, cmd.Start())
		runners, said = append(runners, cmd), append(said, stderr)
	}
	for i, cmd := range runners {
		require.NoError(t, cmd.Wait(), said[i])
	}
	for i := range apps {
		name := fmt.Sprintf("app-%02d", i)
		text := git(t, origin, "show", "profiles:apps/"+name+"/dynamo.lock")
		lock, err := cache.ParseLock(cache.LockFile, []byte(text))
		require.NoError(t, err)
		require.Len(t, lock.Profiles, 1)
		require.Equal(t, name, lock.Profiles[0].Name)
	}
	require.Len(t, strings.Fields(git(t, origin, "rev-list", "--no-merges", "main..profiles")), apps, "one commit for each")
}

func TestChanges(t *testing.T) {
	engine := func(name profile.RoleName, tp int) profile.Role {
		return profile.Role{Name: name, Replicas: 1, GPUsPerEngine: tp, Parallelism: profile.Parallelism{TP: tp, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}}
	}
	base := func(change func(*profile.Result)) *profile.Result {
		res := &profile.Result{
			Confidence: profile.Simulated, Provenance: profile.Provenance{Tool: "aiconfigurator", ToolVersion: "0.12.0"},
			Pick: profile.Pick{Backend: "vllm", TotalGPUs: 8, Roles: []profile.Role{engine("worker", 2)},
				Expected: &profile.Metrics{TTFTMillis: 380.2, ITLMillis: 27.65, TokensPerSecondPerGPU: 512}},
		}
		if change != nil {
			change(res)
		}
		return res
	}
	for _, c := range []struct {
		name          string
		before, after *profile.Result
		want          string
	}{
		{"measured, and larger", base(nil), base(func(r *profile.Result) {
			r.Pick.Roles[0], r.Pick.TotalGPUs, r.Pick.Expected.TTFTMillis = engine("worker", 4), 16, 209.7
			r.Confidence = profile.Measured
		}), "TP2 -> TP4, 8 -> 16 GPUs, TTFT 380 -> 210 ms, simulated -> measured"},
		{"split, on another backend", base(nil), base(func(r *profile.Result) {
			r.Pick.Roles, r.Pick.Backend = []profile.Role{engine("prefill", 1), engine("decode", 4)}, "sglang"
			r.Provenance.ToolVersion = "0.13.0"
		}), "TP2 -> prefill TP1 + decode TP4, vllm -> sglang, aiconfigurator 0.12.0 -> 0.13.0"},
		{"another question", base(nil), base(func(r *profile.Result) { r.Inputs.Hardware.TotalGPUs = 8 }), "asked for hardware.totalGpus 0, now 8"},
		{"nothing to see", base(nil), base(func(r *profile.Result) { r.Pick.Expected.TTFTMillis = 380.4 }), "the same pick, from another result"},
		{"the first", nil, base(nil), "new, TP2, vllm, 8 GPUs, TTFT 380 ms, ITL 27.6 ms, simulated"},
		{"nothing predicted", nil, base(func(r *profile.Result) { r.Pick.Expected, r.Confidence = nil, profile.Naive }), "new, TP2, vllm, 8 GPUs, naive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			one := change{name: "llama", before: c.before, after: c.after}
			require.Equal(t, "Pin the profiling result of llama\n\nllama: "+c.want+"\n", message([]change{one}))
		})
	}
	two := message([]change{{name: "a", after: base(nil)}, {name: "b", after: base(nil)}})
	require.Equal(t, []string{"Pin 2 profiling results", "", "a: new", "b: new"}, []string{
		strings.Split(two, "\n")[0], strings.Split(two, "\n")[1], strings.Split(two, "\n")[2][:6], strings.Split(two, "\n")[3][:6]})
}

func TestRedact(t *testing.T) {
	g := openGit(".", "https://robot:s3%40cret@git.example.com/x.git")
	for text, want := range map[string]string{
		"fatal: unable to access 'https://robot:s3%40cret@git.example.com/x.git/'": "fatal: unable to access 'https://git.example.com/x.git/'",
		"remote: s3@cret is wrong":                 "remote: *** is wrong",
		"https://other:token@example.com/a b@c":    "https://example.com/a b@c",
		"git@git.example.com:x.git":                "git@git.example.com:x.git",
		"to https://git.example.com/a and x@y.com": "to https://git.example.com/a and x@y.com",
	} {
		require.Equal(t, want, g.secrets.Redact(text))
	}
	require.Equal(t, "remote: no; ! [remote rejected] x", lastOf("To x\nremote: no\n ! [remote rejected] x\nhint: y\n"))
	require.Equal(t, "a; b", lastOf("", "\n a \nb\n"))
}

func TestGitEnvironment(t *testing.T) {
	require.Equal(t, []string{"A=1", "GIT_SSH=x", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"}, gitEnvironment([]string{"A=1", "GIT_DIR=/x", "GIT_SSH=x", "GIT_INDEX_FILE=y"}))
}
