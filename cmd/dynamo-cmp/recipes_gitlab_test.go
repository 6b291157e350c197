package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// pipeline is a .gitlab-ci.yml: jobs beside the keywords that are none.
type pipeline struct {
	variables map[string]string
	jobs      map[string]gitlabJob
}

type gitlabJob struct {
	Variables    map[string]string
	BeforeScript []string `yaml:"before_script"`
	Script       []string
}

func readPipeline(t *testing.T) pipeline {
	t.Helper()
	data, err := os.ReadFile(recipes + ".gitlab-ci.yml")
	require.NoError(t, err)
	var nodes map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(data, &nodes))
	p := pipeline{jobs: map[string]gitlabJob{}}
	for name, node := range nodes {
		switch name {
		case "workflow", "stages", "default":
		case "variables":
			require.NoError(t, node.Decode(&p.variables))
		default:
			var j gitlabJob
			require.NoError(t, node.Decode(&j))
			require.NotEmpty(t, j.Script, name)
			p.jobs[name] = j
		}
	}
	return p
}

// run runs a job as a runner does, in one sh.
func (l pipeline) run(p *pullRequest, job string, env ...string) (string, int) {
	p.t.Helper()
	j, ok := l.jobs[job]
	require.True(p.t, ok, job)
	for _, variables := range []map[string]string{l.variables, j.Variables} {
		for name, value := range variables {
			env = append(env, name+"="+value)
		}
	}
	p.git("clean", "-ffdxq", "--exclude=/bin") // as GitLab: a job sees of others their artifacts alone
	return p.shell(env, "sh", "-e", "-c", strings.Join(append(j.BeforeScript, j.Script...), "\n"))
}

// note is a note of a merge request, in GitLab's API.
type note struct {
	ID     int            `json:"id"`
	Author map[string]any `json:"author"`
	Body   string         `json:"body"`
}

// gitlab is the part of GitLab's API that a sticky comment takes.
type gitlab struct {
	mu    sync.Mutex
	notes []note
	calls []string
}

// comments are the notes of the merge request.
func (g *gitlab) comments() []note {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.notes)
}

// called is what was asked for since the last time.
func (g *gitlab) called() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	calls := g.calls
	g.calls = nil
	return calls
}

func (g *gitlab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	const notes = "/api/v4/projects/3/merge_requests/7/notes"
	g.calls = append(g.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v4/"))
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch {
	case r.Header.Get("PRIVATE-TOKEN") != "s3cret":
		http.Error(w, "401 Unauthorized", http.StatusUnauthorized)
	case r.URL.Path == "/api/v4/user":
		answer(map[string]any{"id": 9})
	case r.URL.Path == notes && r.Method == http.MethodGet: // pages of one
		var page int
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		next := ""
		if page < len(g.notes) {
			next = fmt.Sprint(page + 1)
		}
		w.Header().Set("X-Next-Page", next)
		answer(g.notes[min(page-1, len(g.notes)):min(page, len(g.notes))])
	case r.URL.Path == notes && r.Method == http.MethodPost:
		g.notes = append(g.notes, note{ID: 42, Author: map[string]any{"id": 9}, Body: r.FormValue("body")})
		answer(g.notes[len(g.notes)-1])
	case r.URL.Path == notes+"/42" && r.Method == http.MethodPut:
		g.notes[len(g.notes)-1].Body = r.FormValue("body")
		answer(g.notes[len(g.notes)-1])
	default:
		http.NotFound(w, r)
	}
}

// onGitLab starts the API and puts the programs of the images on PATH.
func onGitLab(t *testing.T) (*pullRequest, *gitlab) {
	t.Helper()
	for _, tool := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	p, g := newPullRequest(t), &gitlab{notes: []note{
		{ID: 1, Author: map[string]any{"id": 9}, Body: "something else"},
		{ID: 2, Author: map[string]any{"id": 8}, Body: "<!-- dynamo-cmp diff -->\nof another"},
	}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	p.env = append(p.env, "CI_API_V4_URL="+server.URL+"/api/v4", "CI_PROJECT_ID=3", "CI_MERGE_REQUEST_IID=7",
		"CI_MERGE_REQUEST_DIFF_BASE_SHA=main", "REVIEW_TOKEN=s3cret")
	command, err := exec.LookPath("dynamo-cmp")
	require.NoError(t, err)
	p.standIn("apk", "")
	p.standIn("pip", "")
	p.standIn("crane", `[ "$1 $2 $3" = "export $RENDERER -" ]
mkdir -p `+p.temp+`/usr/local/bin
cp `+command+" "+p.temp+`/usr/local/bin/dynamo-cmp
tar -C `+p.temp+` -c usr
`)
	out, status := readPipeline(t).run(p, "install")
	require.Zero(t, status, out)
	return p, g
}

func TestPipelineOfAChange(t *testing.T) {
	p, g := onGitLab(t)
	l := readPipeline(t)
	slaChange(p, "49")
	for _, job := range []string{"lint", "schemas", "policy", "gate"} {
		out, status := l.run(p, job)
		require.Zero(t, status, job+": "+out)
	}
	const all = "projects/3/merge_requests/7/notes"
	created := []string{"GET user", "GET " + all, "GET " + all, "POST " + all}
	updated := []string{"GET user", "GET " + all, "GET " + all, "GET " + all, "PUT " + all + "/42"}
	out, status := l.run(p, "review")
	require.Zero(t, status, out)
	require.NotContains(t, out, "s3cret")
	require.Equal(t, created, g.called())
	require.Contains(t, g.comments()[2].Body, "input sla.itlMillis 50, now 49")

	p.edit("apps/llama-70b/dgdr.yaml", "itl: 49", "itl: 48")
	p.reprofile("apps/llama-70b")
	p.push("another")
	out, status = l.run(p, "review")
	require.Zero(t, status, out)
	require.Equal(t, updated, g.called())
	require.Contains(t, g.comments()[2].Body, "input sla.itlMillis 50, now 48")
	require.Equal(t, "<!-- dynamo-cmp diff -->\nof another", g.comments()[1].Body)

	// In a pipeline for merged results, the base is what was merged into.
	out, status = l.run(p, "review", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA=change")
	require.Zero(t, status, out)
	require.Contains(t, g.comments()[2].Body, "nothing deployed changes")
}

func TestPipelineWithNothingToSay(t *testing.T) {
	p, g := onGitLab(t)
	l := readPipeline(t)
	nothingDeployed(p)
	for job := range l.jobs {
		if job == "install" {
			continue
		}
		out, status := l.run(p, job)
		require.Zero(t, status, job+": "+out)
	}
	require.Len(t, g.comments(), 2)

	// A fork has no token.
	g.called()
	slaChange(p, "49")
	out, status := l.run(p, "review", "REVIEW_TOKEN=")
	require.Zero(t, status, out)
	require.Equal(t, "no comment: there is no REVIEW_TOKEN\n", out)
	require.Empty(t, g.called())
	// A token that is refused is an error, and not shown.
	out, status = l.run(p, "review", "REVIEW_TOKEN=0ther")
	require.NotZero(t, status)
	require.Contains(t, out, "401")
	require.NotContains(t, out, "0ther")
}

func TestPipelineOfAMistake(t *testing.T) {
	p, g := onGitLab(t)
	l := readPipeline(t)
	broken(p)
	out, status := l.run(p, "lint")
	require.Equal(t, 1, status)
	require.Contains(t, out, brokenAt+": error: spec.sla.itl: ")
	require.Equal(t, []string{"type"}, sarifResults(t, p.wrote(filepath.Join(p.dir, "lint.sarif")), "apps/llama-70b/dgdr.yaml"))
	var quality []struct {
		Description, Fingerprint, Severity string
		CheckName                          string `json:"check_name"`
		Location                           struct {
			Path  string
			Lines struct{ Begin int }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(p.wrote(filepath.Join(p.dir, "codequality.json"))), &quality))
	fingerprints, at := map[string]bool{}, ""
	for _, q := range quality {
		require.False(t, fingerprints[q.Fingerprint], q.Description)
		fingerprints[q.Fingerprint] = true
		if q.Severity == "major" {
			at += fmt.Sprintf("%s:%d %s", q.Location.Path, q.Location.Lines.Begin, q.CheckName)
		}
	}
	require.Equal(t, brokenAt+" type", at)
	out, status = l.run(p, "schemas")
	require.Equal(t, 1, status)
	require.Contains(t, out, "apps/llama-70b/dgdr.yaml: ")
	out, status = l.run(p, "review")
	require.Zero(t, status, out) // gate says it
	require.Contains(t, g.comments()[2].Body, brokenAt)
	out, status = l.run(p, "gate")
	require.Equal(t, 1, status)
	require.Contains(t, out, brokenAt)
}

func TestPipelineRefuses(t *testing.T) {
	p, _ := onGitLab(t)
	l := readPipeline(t)
	naiveResult(p)
	out, status := l.run(p, "gate")
	require.Equal(t, 6, status)
	require.Contains(t, out, "its result is naive (--fail-on naive)")
	out, status = l.run(p, "policy")
	require.Equal(t, 1, status)
	require.Contains(t, out, "is naive, and the policy allows measured, simulated")
}
