package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const recipes = "../../examples/gitops-repo/"

// The files with which a pull request is reviewed: their own shell runs here, on a
// clone of the example repository, with the commands of this module. What answers
// for the outside (docker, pipx, gh, curl's server) stands in for it alone.

// pullRequest is a clone of the example repository whose HEAD merges a branch into
// main, as GitHub checks it out.
type pullRequest struct {
	t    *testing.T
	dir  string
	temp string   // RUNNER_TEMP
	bin  string   // first of PATH: what stands in
	env  []string // of each step
}

func newPullRequest(t *testing.T) *pullRequest {
	p := &pullRequest{t: t, dir: t.TempDir(), temp: t.TempDir(), bin: t.TempDir()}
	p.env = append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"), "RUNNER_TEMP="+p.temp, "XDG_CACHE_HOME="+t.TempDir(),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	require.NoError(t, exec.Command("cp", "-r", recipes+".", p.dir).Run())
	p.git("init", "-q", "-b", "main")
	// What jobs write: another job has a checkout of its own.
	written := "/bin/\n/*.json\n/*.sarif\n/*.txt\n/comment.md\n/headers\n"
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, ".git", "info", "exclude"), []byte(written), 0o644))
	p.push("base")
	p.git("checkout", "-q", "-b", "change")
	return p
}

func (p *pullRequest) git(args ...string) {
	p.t.Helper()
	out, status := p.shell(nil, "git", args...)
	require.Zero(p.t, status, out)
}

func (p *pullRequest) push(message string) {
	p.t.Helper()
	p.git("add", "-A")
	p.git("commit", "-q", "-m", message)
}

// merged leaves HEAD at the merge of what was pushed to the branch.
func (p *pullRequest) merged() {
	p.t.Helper()
	p.git("checkout", "-q", "--detach", "main")
	p.git("merge", "-q", "--no-ff", "-m", "merge", "change")
}

// edit replaces text of a file that holds it.
func (p *pullRequest) edit(file, old, now string) {
	p.t.Helper()
	name := filepath.Join(p.dir, file)
	data, err := os.ReadFile(name)
	require.NoError(p.t, err)
	require.Contains(p.t, string(data), old)
	require.NoError(p.t, os.WriteFile(name, bytes.Replace(data, []byte(old), []byte(now), 1), 0o644))
}

// reprofile stores and locks a result for what was edited.
func (p *pullRequest) reprofile(args ...string) {
	p.t.Helper()
	out, status := p.shell(nil, "reprofile", args...)
	require.Zero(p.t, status, out)
}

// shell runs a program in the clone and returns all that it printed, and its status.
func (p *pullRequest) shell(env []string, name string, args ...string) (string, int) {
	p.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = p.dir, append(append([]string{}, p.env...), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	require.NoError(p.t, err, string(out))
	return string(out), 0
}

// standIn puts a shell script on PATH.
func (p *pullRequest) standIn(name, script string) {
	p.t.Helper()
	require.NoError(p.t, os.WriteFile(filepath.Join(p.bin, name), []byte("#!/bin/sh\nset -e\n"+script), 0o755))
}

func (p *pullRequest) wrote(name string) string {
	p.t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(p.t, err)
	return string(data)
}

// The four pull requests that both recipes are tried on.

func slaChange(p *pullRequest, itl string) {
	p.edit("apps/llama-70b/dgdr.yaml", "itl: 50", "itl: "+itl)
	p.reprofile("apps/llama-70b")
	p.push("sla")
}

func nothingDeployed(p *pullRequest) {
	p.edit("README.md", "three requests", "some requests")
	p.push("readme")
}

func broken(p *pullRequest) {
	p.edit("apps/llama-70b/dgdr.yaml", "itl: 50", "itl: fast")
	p.push("broken")
}

func naiveResult(p *pullRequest) {
	p.reprofile("apps/qwen-small", "confidence=naive")
	p.push("naive")
}

// brokenAt is where the mistake of broken is.
const brokenAt = "apps/llama-70b/dgdr.yaml:17"

// sarifResults are the rules and lines that a SARIF file holds for a file.
func sarifResults(t *testing.T, data, file string) []string {
	t.Helper()
	var doc sarif
	require.NoError(t, json.Unmarshal([]byte(data), &doc))
	require.Equal(t, "2.1.0", doc.Version)
	var out []string
	for _, r := range doc.Runs[0].Results {
		if r.Level == "error" && r.Locations[0].PhysicalLocation.ArtifactLocation.URI == file {
			out = append(out, r.RuleID)
		}
	}
	return out
}

// checkJSONSchema is check-jsonschema as far as the recipes use it.
func checkJSONSchema() {
	args := os.Args[1:]
	if len(args) < 5 || args[0] != "--schemafile" || args[2] != "--default-filetype" || args[3] != "yaml" {
		fatal(fmt.Errorf("check-jsonschema %q: not what the recipes say", args))
	}
	schema, err := jsonschema.NewCompiler().Compile(args[1])
	fatal(err)
	for _, file := range args[4:] {
		data, err := os.ReadFile(file)
		fatal(err)
		var doc any
		fatal(yaml.Unmarshal(data, &doc))
		if err := schema.Validate(doc); err != nil {
			fatal(fmt.Errorf("%s: %w", file, err))
		}
	}
}

// The version that reviews is the one that Argo CD renders with.
func TestRecipesRenderAsTheSidecar(t *testing.T) {
	var patch struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Image string } }
			}
		}
	}
	sidecar, err := os.ReadFile(recipes + "platform/argocd/repo-server.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(sidecar, &patch))
	want := patch.Spec.Template.Spec.Containers[0].Image
	require.NotEmpty(t, want)
	require.Equal(t, want, readWorkflow(t).Env["RENDERER"])
	require.Equal(t, want, readPipeline(t).variables["RENDERER"])
}
