package docs

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
)

// fromSource are the pages whose reader stands in a clone of this repository. That of
// the quick start stands in an empty directory, that of the others in a clone of
// their team's repository, a copy of the example.
var fromSource = []string{"README.md", "CONTRIBUTING.md"}

const quickstart = "docs/quickstart.md"

// A desk is where a reader works: a directory, and an environment in which both
// commands are installed, unless the page is one that builds them. What the pages call registry.example.com is a registry,
// and what they clone from github.com and git.example.com is here.
type desk struct {
	dir    string
	env    []string
	local  *strings.Replacer // from what the pages say to what is here
	public *strings.Replacer // and back
}

func newDesk(t *testing.T, page string) desk {
	t.Helper()
	work := t.TempDir()
	home, sources, team := filepath.Join(work, "home"), filepath.Join(work, "github"), filepath.Join(work, "git")
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	t.Cleanup(server.Close)
	host := strings.Replace(strings.TrimPrefix(server.URL, "http://"), "127.0.0.1", "localhost", 1)
	builds := page == quickstart || slices.Contains(fromSource, page)
	d := desk{
		dir:    filepath.Join(work, "desk"),
		env:    environment(t, home, !builds),
		local:  strings.NewReplacer("registry.example.com", host),
		public: strings.NewReplacer(host, "registry.example.com"),
	}
	for _, dir := range []string{home, d.dir, sources, team} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	d.git(t, d.dir, "config", "--global", "user.name", "a")
	d.git(t, d.dir, "config", "--global", "user.email", "a@example.com")
	d.git(t, d.dir, "config", "--global", "init.defaultBranch", "main")
	d.git(t, d.dir, "config", "--global", "url."+sources+"/.insteadOf", "https://github.com/dynamo-cmp/")
	d.git(t, d.dir, "config", "--global", "url."+team+"/.insteadOf", "https://git.example.com/inference/")
	examples, err := filepath.Abs(filepath.Join(root, "examples", "gitops-repo"))
	require.NoError(t, err)
	d.publish(t, filepath.Join(team, "gitops-repo.git"), examples)
	if builds {
		checkout, err := filepath.Abs(root)
		require.NoError(t, err)
		d.publish(t, filepath.Join(sources, "dynamo-cmp.git"), checkout)
		d.linkVenv(t, home)
	}
	switch {
	case page == quickstart:
	case slices.Contains(fromSource, page):
		d.git(t, d.dir, "clone", "--quiet", "https://github.com/dynamo-cmp/dynamo-cmp.git", ".")
	default:
		d.git(t, d.dir, "clone", "--quiet", "https://git.example.com/inference/gitops-repo.git", ".")
	}
	return d
}

// publish makes a bare repository of a directory as it is, committed or not, without
// what Git is told to ignore.
func (d desk) publish(t *testing.T, bare, dir string) {
	t.Helper()
	d.git(t, dir, "init", "--quiet", "--bare", bare)
	require.NoError(t, os.WriteFile(filepath.Join(bare, "info", "exclude"), []byte("/.venv\n"), 0o644))
	work := []string{"--git-dir", bare, "--work-tree", dir, "-c", "core.bare=false"}
	d.git(t, dir, append(work, "add", "--all")...)
	d.git(t, dir, append(work, "commit", "--quiet", "--message", "As it is")...)
}

// linkVenv gives each clone the AIConfigurator of this checkout, which is what make
// venv would spend a minute on.
func (d desk) linkVenv(t *testing.T, home string) {
	t.Helper()
	venv, err := filepath.EvalSymlinks(filepath.Join(root, ".venv"))
	if err != nil {
		return // the blocks that need it are left out
	}
	venv, err = filepath.Abs(venv)
	require.NoError(t, err)
	hook := "#!/bin/sh\n[ ! -f profile/rapid/requirements.txt ] || ln -sfn '" + venv + "' .venv\n"
	require.NoError(t, os.MkdirAll(filepath.Join(home, "hooks"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(home, "hooks", "post-checkout"), []byte(hook), 0o755))
	d.git(t, home, "config", "--global", "core.hooksPath", filepath.Join(home, "hooks"))
}

func (d desk) git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, d.env
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
}

// environment is this process's with another home, without settings of ours and of a
// cluster, and with what keeps Go's caches in use.
func environment(t *testing.T, home string, installed bool) []string {
	t.Helper()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc([]string{"DYNAMO_CMP_", "GIT_", "XDG_", "MAKE", "KUBE"}, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOENV"} {
		value, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	env = append(env, "HOME="+home, "PATH="+toolPath(), "BASH_FUNC_kubectl%%="+kubectl, "GIT_PAGER=cat", "DOCKER_CONFIG="+home)
	if installed {
		env = append(env, "PATH="+bin+string(filepath.ListSeparator)+toolPath(), "DYNAMO_CMP_PYTHON="+python())
	}
	return env
}

// kubectl is a function of the shell: what is created is checked by the real one and
// sent nowhere, as the pages' cluster is not here.
const kubectl = `() { if [ "$1" = create ]; then command kubectl "$@" --dry-run=client -o name; else echo "there is no cluster for kubectl $1" >&2; false; fi
}`

// toolPath is PATH and the directories where the tools of the end-to-end tests are.
func toolPath() string {
	return os.Getenv("PATH") + string(filepath.ListSeparator) + os.Getenv("DYNAMO_CMP_TOOLS")
}

// python is the one that has AIConfigurator, if it is there.
func python() string {
	if path := os.Getenv("DYNAMO_CMP_PYTHON"); path != "" {
		return path
	}
	path, err := filepath.Abs(filepath.Join(root, ".venv", "bin", "python"))
	if err != nil {
		return ""
	}
	return path
}
