package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

const (
	robot    = "robot"
	password = "t0ken-of-the-robot"
)

// remoteRunner is a runner that works on a clone and pushes its locks.
func remoteRunner(url string, args ...string) (*exec.Cmd, *strings.Builder) {
	cmd := exec.Command("dynamo-profile-runner", append([]string{"run", "--repo", url, "--push-branch", "profiles"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=R", "GIT_AUTHOR_EMAIL=r@example.com", "GIT_COMMITTER_NAME=R", "GIT_COMMITTER_EMAIL=r@example.com")
	stderr := &strings.Builder{}
	cmd.Stderr = stderr
	return cmd, stderr
}

// serveGit is the origin over HTTP, for the robot alone.
func serveGit(t *testing.T, origin string) *httptest.Server {
	t.Helper()
	git(t, origin, "config", "http.receivepack", "true")
	execPath, err := exec.Command("git", "--exec-path").Output()
	require.NoError(t, err)
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"), Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(origin), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + robot}}
	if _, err := os.Stat(backend.Path); err != nil {
		t.Skip("git came without its HTTP server: ", err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		if user != robot || pass != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who is it?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// A runner clones from and pushes to a server that wants credentials: in the URL or
// from git's own helper. They are in no output, nor is a wrong one.
func TestRemoteOverHTTP(t *testing.T) {
	origin := originOf(t, 2, "")
	server := serveGit(t, origin)
	url := server.URL + "/" + filepath.Base(origin)
	withUser := func(user, pass string) string { return strings.Replace(url, "://", "://"+user+":"+pass+"@", 1) }

	cmd, said := remoteRunner(withUser(robot, password), "apps/app-00")
	out, err := cmd.Output()
	require.NoError(t, err, said)
	require.NotContains(t, string(out)+said.String(), password)

	helper := filepath.Join(t.TempDir(), "gitconfig")
	require.NoError(t, os.WriteFile(helper, fmt.Appendf(nil, "[credential]\n\thelper = \"!f() { echo username=%s; echo password=%s; }; f\"\n", robot, password), 0o600))
	cmd, said = remoteRunner(url, "apps/app-01")
	cmd.Env = append(cmd.Env, "GIT_CONFIG_GLOBAL="+helper)
	out, err = cmd.Output()
	require.NoError(t, err, said)
	require.NotContains(t, string(out)+said.String(), password)
	require.Contains(t, git(t, origin, "show", "profiles:apps/app-01/dynamo.lock"), "name: app-01")

	cmd, said = remoteRunner(withUser(robot, "wr0ng-one"), "apps/app-00")
	out, err = cmd.Output()
	require.Error(t, err)
	require.Contains(t, said.String(), "asking the remote for its branches: git ls-remote: ")
	require.NotContains(t, string(out)+said.String(), "wr0ng-one")
}

// quick is a request for GPUs that AIConfigurator has no tables of: it is answered by a
// rule of thumb.
const quick = `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata:
  name: qwen-small
spec:
  model: Qwen/Qwen3-0.6B
  backend: vllm
  image: nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.5.1
  workload: {isl: 1000, osl: 100}
  hardware: {gpuSku: v100_sxm, totalGpus: 8, numGpusPerNode: 8}
`

// Sixteen runners on one store and one repository, four for each request: each key is
// profiled by one of them, and no result and no lock entry is lost.
func TestSixteenRunners(t *testing.T) {
	python := aiconfigurator(t)
	if python == "" {
		t.Skip("no AIConfigurator: set DYNAMO_CMP_PYTHON, or make venv")
	}
	const apps = 4
	origin := originOf(t, apps, quick)
	registryServer := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(registryServer.Close)
	store := strings.TrimPrefix(registryServer.URL, "http://") + "/profiles"
	caches := t.TempDir()

	var runners []*exec.Cmd
	var said, tables []*strings.Builder
	for i := range 16 {
		cmd, stderr := remoteRunner("file://"+origin, fmt.Sprintf("apps/app-%02d", i%apps), "--store", store, "--python", python, "--output", "json")
		cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+caches)
		stdout := &strings.Builder{}
		cmd.Stdout = stdout
		require.NoError(t, cmd.Start())
		runners, said, tables = append(runners, cmd), append(said, stderr), append(tables, stdout)
	}
	profiled := map[string]int{}
	for i, cmd := range runners {
		require.NoError(t, cmd.Wait(), said[i])
		var rows []row
		require.NoError(t, json.Unmarshal([]byte(tables[i].String()), &rows), tables[i])
		require.Len(t, rows, 1)
		if rows[0].Status == statusProfiled {
			profiled[rows[0].Request]++
		}
	}
	for i := range apps {
		name := fmt.Sprintf("app-%02d", i)
		require.Equal(t, 1, profiled[name], "%s is profiled by one runner:\n%s", name, said)
		lock, err := cache.ParseLock(cache.LockFile, []byte(git(t, origin, "show", "profiles:apps/"+name+"/dynamo.lock")))
		require.NoError(t, err)
		require.Len(t, lock.Profiles, 1)
		opened, err := cache.Open(store, cache.Options{})
		require.NoError(t, err)
		res, err := opened.Get(t.Context(), lock.Profiles[0].Result)
		require.NoError(t, err)
		require.Equal(t, lock.Profiles[0].Key, res.Inputs.Key())
	}
	commits := strings.Fields(git(t, origin, "rev-list", "--no-merges", "main..profiles"))
	require.Len(t, slices.Compact(commits), apps, "one commit for each")
}
