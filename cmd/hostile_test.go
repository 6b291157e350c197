package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// outsideSecret is in a file that no repository holds.
const outsideSecret = "canary-5e1d0c7b"

// hostileCase does to an application what a commit or an archive could; want is in
// what generate says, and where it is empty generate takes no notice.
type hostileCase struct {
	name string
	// prepare is given the repository, the directory of the application and the file
	// outside. It returns whether Git can hold what it made.
	prepare func(t *testing.T, repo, app, secret string) bool
	want    string
}

// A repository made to hurt: no command hangs, grows, or tells what lies outside of
// it, and none sends a terminal anything but text.
func TestHostileRepository(t *testing.T) {
	for _, c := range append(hostileLinks(), append(hostileFiles(), hostileTexts()...)...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			secret := filepath.Join(t.TempDir(), "secret.yaml")
			put(t, secret, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+outsideSecret+"}\ndata: {a: "+outsideSecret+", "+outsideSecret+"\n")
			repo := exampleRepo(t)
			app := filepath.Join(repo, "apps", "llama-70b")
			inGit := c.prepare(t, repo, app, secret)
			commands := [][]string{{cmp, "generate", app}, {cmp, "lint", app}, {cmp, "discover", app}, {runner, "run", "--dry-run", app}}
			if strings.Contains(c.name, "lock") || strings.Contains(c.name, "store") { // whoever reads one
				commands = append(commands, [][]string{{cmp, "explain", app}, {cmp, "verify", app}, {cmp, "doctor", app},
					{runner, "ls", "--store", "oci-layout:" + filepath.Join(app, ".dynamo-cmp/store")}, {runner, "gc", "--dry-run"}, {runner, "show", "llama-70b"}}...)
			}
			if inGit {
				commit(t, repo)
				commands = append(commands, []string{cmp, "diff", app, "--base", "HEAD~1", "--head", "HEAD"})
			} else {
				commands = append(commands, []string{cmp, "diff", app})
			}
			for i, line := range commands {
				did := run(t, repo, nil, line[0], line[1:]...)
				for _, text := range []string{did.stdout, did.stderr} {
					require.NotContains(t, text, outsideSecret, line)
					require.NotContains(t, text, "\x1b", line)
					require.NotContains(t, text, "\r", line)
					require.NotContains(t, text, "\n::error", line)
				}
				require.NotContains(t, did.stderr, "panic", line)
				if i == 0 {
					require.Contains(t, did.stderr, c.want)
					require.Equal(t, c.want == "", did.status == 0, did.stderr)
					require.Equal(t, c.want == "", did.stdout != "")
				}
			}
		})
	}
}

func put(t *testing.T, file, data string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(data), 0o644))
}

// replace puts something in the place of a file.
func replace(t *testing.T, file string, with func(string) error) {
	t.Helper()
	require.NoError(t, os.RemoveAll(file))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, with(file))
}

func hostileLinks() []hostileCase {
	link := func(name, want string, absolute bool) hostileCase {
		title := name + " is a relative link out"
		if absolute {
			title = name + " is an absolute link out"
		}
		return hostileCase{title, func(t *testing.T, repo, app, secret string) bool {
			file := filepath.Join(app, name)
			target := secret
			if !absolute {
				var err error
				target, err = filepath.Rel(filepath.Dir(file), secret)
				require.NoError(t, err)
			}
			replace(t, file, func(at string) error { return os.Symlink(target, at) })
			return true
		}, want}
	}
	to := func(name, target, want string) hostileCase {
		return hostileCase{name + " is a link to " + target, func(t *testing.T, _, app, _ string) bool {
			replace(t, filepath.Join(app, name), func(at string) error { return os.Symlink(target, at) })
			return true
		}, want}
	}
	kustomized := func(title, body, want string) hostileCase {
		return hostileCase{"a kustomization with " + title, func(t *testing.T, _, app, secret string) bool {
			out, err := filepath.Rel(app, secret)
			require.NoError(t, err)
			put(t, filepath.Join(app, "kustomization.yaml"), "resources: [dgdr.yaml]\n"+strings.NewReplacer("OUT", out, "ABS", secret).Replace(body))
			return true
		}, want}
	}
	const escapes = "path escapes from parent"
	return []hostileCase{
		link("extra.yaml", "extra.yaml: "+escapes, true), link("extra.yaml", "extra.yaml: "+escapes, false),
		link("dgdr.yaml", "dgdr.yaml: "+escapes, true), link("dynamo.lock", "dynamo.lock: "+escapes, true), link("dynamo.lock", "dynamo.lock: "+escapes, false),
		link("hardware.yaml", "hardware.yaml: "+escapes, true), link("kustomization.yaml", escapes, false),
		link(".dynamo-cmp/store/index.json", "not found", true),
		to("dynamo.lock", "/dev/zero", escapes), to("extra.yaml", "/dev/zero", escapes), to("extra.yaml", "extra.yaml", "too many levels"),
		to("extra.yaml", "/proc/self/environ", escapes), to("sub", "..", ""), to("extra.yaml", "nowhere", "extra.yaml"),
		{"a store that is a link out", func(t *testing.T, repo, _, secret string) bool {
			replace(t, filepath.Join(repo, ".dynamo-cmp", "store"), func(at string) error { return os.Symlink(filepath.Dir(secret), at) })
			return true
		}, "not found"},
		{"blobs that are links out", func(t *testing.T, repo, _, secret string) bool {
			blobs, err := filepath.Glob(filepath.Join(repo, ".dynamo-cmp/store/blobs/sha256/*"))
			require.NoError(t, err)
			for _, blob := range blobs {
				replace(t, blob, func(at string) error { return os.Symlink(secret, at) })
			}
			return true
		}, "escapes"},
		kustomized("a resource outside", "components: []\npatches: [{path: OUT}]\n", "kustomization.yaml"),
		kustomized("an absolute patch", "patches: [{path: ABS}]\n", "kustomization.yaml"),
		kustomized("a generator outside", "configMapGenerator: [{name: x, files: [OUT]}]\n", "kustomization.yaml"),
		kustomized("an environment outside", "secretGenerator: [{name: x, envs: [OUT]}]\n", "kustomization.yaml"),
		kustomized("replacements outside", "replacements: [{path: OUT}]\n", "kustomization.yaml"),
		kustomized("a schema outside", "openapi: {path: OUT}\n", "kustomization.yaml"),
		kustomized("a component outside", "components: [OUT]\n", "kustomization.yaml"),
		kustomized("a chart", "helmCharts: [{name: x, repo: 'https://example.invalid'}]\n", "kustomization.yaml"),
		kustomized("a plugin", "generators: [OUT]\n", "kustomization.yaml"),
		kustomized("a configuration outside", "configurations: [OUT]\n", "kustomization.yaml"),
		kustomized("a file of two lines", "patches: [{path: \"a\\n::error::b\\e[31m\"}]\n", "kustomization.yaml"),
	}
}
