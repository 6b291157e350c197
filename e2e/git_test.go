package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// longerPrompts, at the end of the DGDR qwen-small, asks for another result.
const longerPrompts = "  workload: {isl: 12000, osl: 300}\n"

// checkout is a git repository that Argo CD fetches from.
type checkout struct {
	dir string
	url string
}

// gitRepository is the example repository, committed to the branch main.
func gitRepository(t *testing.T) checkout {
	t.Helper()
	dir := repository(t)
	c := checkout{dir: dir, url: "file://" + dir}
	c.git(t, "init", "--quiet", "--initial-branch=main")
	c.commit(t, "The example repository")
	return c
}

// write changes a file of the working tree.
func (c checkout) write(t *testing.T, name, data string) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(data), 0o644))
}

// replace changes a text, which must be there, in a file of the working tree.
func (c checkout) replace(t *testing.T, name, old, new string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	require.NoError(t, err)
	require.Contains(t, string(data), old)
	c.write(t, name, strings.Replace(string(data), old, new, 1))
}

// commit records the working tree and returns the commit's hash.
func (c checkout) commit(t *testing.T, message string) string {
	t.Helper()
	c.git(t, "add", "--all")
	c.git(t, "commit", "--quiet", "--message", message)
	return c.git(t, "rev-parse", "HEAD")
}

func (c checkout) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=e2e", "GIT_AUTHOR_EMAIL=e2e@example.com", "GIT_COMMITTER_NAME=e2e", "GIT_COMMITTER_EMAIL=e2e@example.com")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// profile answers the requests of an application with the real profiler.
func (c checkout) profile(t *testing.T, app string) {
	t.Helper()
	c.run(t, nil, app)
}

// run is dynamo-profile-runner run for an application, and what it prints.
func (c checkout) run(t *testing.T, env []string, app string, flags ...string) string {
	t.Helper()
	python := os.Getenv("DYNAMO_CMP_PYTHON")
	if python == "" {
		t.Skip("no AIConfigurator: make e2e-argocd sets DYNAMO_CMP_PYTHON")
	}
	cmd := exec.Command(runnerBinary(t), append([]string{"run", filepath.Join(c.dir, "apps", app), "--python", python,
		"--model-config", filepath.Join(c.dir, "platform/model-configs")}, flags...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// read is a file of the working tree.
func (c checkout) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	require.NoError(t, err)
	return string(data)
}
