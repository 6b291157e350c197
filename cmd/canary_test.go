package cmd

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// token is planted wherever a secret may lie.
const token = "canary-token-b83f0e7712"

// No command tells a secret: not in what it prints, not in a file, not in a store,
// whatever a registry, a redirect or a remote answers.
func TestNoSecretIsTold(t *testing.T) {
	for answer, handler := range map[string]http.HandlerFunc{
		"unauthorized": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"asks another for a token": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://127.0.0.1:1/%s?account=%s",service="x"`, token, token))
			w.WriteHeader(http.StatusUnauthorized)
		},
		"redirects to a signed address": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			http.Redirect(w, r, "http://127.0.0.1:1/x?X-Signature="+token, http.StatusTemporaryRedirect)
		},
		"fails": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"is no registry": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>" + strings.Repeat("x", 1<<16)))
		},
		"is not there": nil,
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(handler)
			host := strings.TrimPrefix(server.URL, "http://")
			t.Cleanup(server.Close)
			if handler == nil {
				server.Close()
			}
			home := t.TempDir()
			put(t, filepath.Join(home, "config.json"), fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("me:"+token))))
			repo := exampleRepo(t)
			work := t.TempDir()
			env := []string{"DOCKER_CONFIG=" + home, "HF_TOKEN=" + token, "HUGGING_FACE_HUB_TOKEN=" + token, "GITHUB_TOKEN=" + token,
				"OTEL_EXPORTER_OTLP_HEADERS=authorization=" + token, "COSIGN_PASSWORD=" + token, "HTTPS_PROXY=http://me:" + token + "@127.0.0.1:1",
				"TMPDIR=" + work, "XDG_CACHE_HOME=" + filepath.Join(work, "cache")}
			app := filepath.Join(repo, "apps", "llama-70b")
			for _, store := range []string{host + "/team/profiles", "https://me:" + token + "@" + host + "/team/profiles", "me:" + token + "@" + host + "/team/profiles",
				"oci://me:" + token + "@" + host + "/x", "registry.example.invalid/x"} {
				own := append(env, "DYNAMO_CMP_STORE="+store)
				for _, line := range secretCommands(app, work, host) {
					if !strings.HasPrefix(store, host) && line[1] != "generate" && line[1] != "ls" && line[1] != "doctor" {
						continue // a reference is read in one place
					}
					did := run(t, repo, own, line[0], line[1:]...)
					requireNoToken(t, did.stdout, "stdout of", line)
					requireNoToken(t, did.stderr, "stderr of", line)
				}
			}
			for _, dir := range []string{repo, work} {
				require.NoError(t, filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
					if err != nil || !d.Type().IsRegular() {
						return err
					}
					data, err := os.ReadFile(file)
					requireNoToken(t, string(data), "file", []string{file})
					return err
				}))
			}
		})
	}
}

// secretCommands are all commands of both binaries that open a store, a registry or a
// remote, or that look at the environment.
func secretCommands(app, work, host string) [][]string {
	remote := "http://me:" + token + "@" + host + "/repo.git"
	return [][]string{
		{cmp, "generate", app}, {cmp, "render", app, "--output", filepath.Join(work, "out")}, {cmp, "render", app, "--output", "oci://" + host + "/rendered:1"},
		{cmp, "explain", app}, {cmp, "verify", app}, {cmp, "lint", app}, {cmp, "doctor", app}, {cmp, "diff", app}, {cmp, "discover", app}, {cmp, "parameters"},
		{cmp, "generate", app, "--resolve", "key"}, {cmp, "schema", "lock"}, {cmp, "generate", app, "--timeout", token}, {cmp, token},
		{runner, "key", app}, {runner, "ls"}, {runner, "show", "llama-70b"}, {runner, "diff", "llama-70b", "qwen-small"}, {runner, "run", "--dry-run", app},
		{runner, "gc", "--dry-run"}, {runner, "bundle", "-o", filepath.Join(work, "bundle.tar")}, {runner, "stale", app},
		{runner, "run", "--repo", remote, "--push-branch", "x", "."}, {runner, "hardware"}, {runner, "job", app},
		{runner, "sign", app, "--signing-key", filepath.Join(work, "none")},
	}
}

// requireNoToken looks for the token in the forms in which it could be told.
func requireNoToken(t *testing.T, text, what string, line []string) {
	t.Helper()
	for _, form := range []string{token, base64.StdEncoding.EncodeToString([]byte("me:" + token))} {
		if strings.Contains(text, form) && !strings.Contains(strings.Join(line, " "), " "+form) {
			t.Errorf("%s %v tells the token: %s", what, line, text)
		}
	}
}
