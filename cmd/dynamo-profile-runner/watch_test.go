package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is a server that keeps what it is sent.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	sent bytes.Buffer
}

func record(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body []byte)) *recorder {
	t.Helper()
	rec := &recorder{}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		rec.mu.Lock()
		fmt.Fprintf(&rec.sent, "%s %s %s\n", r.Method, r.URL, body)
		rec.mu.Unlock()
		answer(w, r, body)
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.String()
}

// Credentials are in nothing that a run tells, whatever servers say back.
func TestWatchersKeepSecrets(t *testing.T) {
	const canary = "s3cret-canary-0123456789"
	refuse := func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", "Basic")
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"errors": [{"code": "DENIED", "message": "not with %s, see http://robot:%s@docs.example.com/?token=%s"}]}`, r.Header.Get("Authorization"), canary, canary)
	}
	registry, gateway := record(t, refuse), record(t, refuse)
	collector := record(t, func(http.ResponseWriter, *http.Request, []byte) {})
	cluster := record(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})

	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	require.NoError(t, exec.Command("cp", "-r", "../../examples/gitops-repo", repo).Run())
	require.NoError(t, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
	host := strings.TrimPrefix(registry.URL, "http://")
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	login := base64.StdEncoding.EncodeToString([]byte("robot:" + canary))
	write("config.json", fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, login))
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("KUBECONFIG", write("kubeconfig", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": %q}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "profiling"}}], "users": [{"name": "u", "user": {"token": %q}}]}`, cluster.URL, canary)))
	t.Setenv(jobNameVariable, "profile-llama")
	t.Setenv(jobUIDVariable, "u-1")
	t.Setenv("HF_TOKEN", canary)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization="+canary)
	t.Setenv("DYNAMO_CMP_METRICS_PUSH", strings.Replace(gateway.URL, "http://", "http://robot:"+canary+"@", 1))
	t.Setenv("DYNAMO_CMP_LOG_FORMAT", "json")
	metrics := filepath.Join(dir, "run.prom")

	var stdout, log bytes.Buffer
	status := execute(t.Context(), []string{"run", filepath.Join(repo, "apps/llama-70b"), "--store", host + "/profiles", "--metrics-file", metrics}, &stdout, &log)
	require.Equal(t, exitFailed, status, log.String())
	git := strings.Replace(gateway.URL, "http://", "http://robot:"+canary+"@", 1) + "/repo.git"
	status = execute(t.Context(), []string{"run", "--repo", git, "--python", "/no/python"}, &stdout, &log)
	require.Equal(t, exitFailed, status, log.String())

	for line := range strings.Lines(log.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields), line)
		require.Subset(t, []string{"request started", "request ended", "stage ended", "warning", "failure"}, []string{fields["event"].(string)})
	}
	written, err := os.ReadFile(metrics)
	require.NoError(t, err)
	for name, told := range map[string]struct{ text, has string }{
		"log": {log.String(), "not with Basic ***"}, "table": {stdout.String(), "failed"}, "metrics": {string(written), `dynamo_cmp_requests{outcome="failed"} 1`},
		"spans": {collector.text(), "lookup"}, "events": {cluster.text(), "ProfilingFailed"}, "pushed": {gateway.text(), "dynamo_cmp_run_success"},
	} {
		require.Contains(t, told.text, told.has, name)
		require.NotContains(t, told.text, canary[:13], name) // also cut
		require.NotContains(t, told.text, login[:18], name)
	}
	require.Contains(t, log.String(), "pushing metrics: ")
}
