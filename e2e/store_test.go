package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// The results that the example repository has locked.
const (
	qwenResult  = "sha256:f0cfb9b37c4783646781585007d132bebd7da3a3454990bbd223ef023654cec6"
	llamaResult = "sha256:353ae6e78ef6c32c637639025cc571882c5d210f597822d61dc5ccf851031321"
)

const keyPassword = "s3cret-of-the-key"

// shop is a repository whose results are in a registry.
type shop struct {
	registry servers.Registry
	store    string // REGISTRY/REPO
	repo     string // directory
	keys     string // directory: cosign.key, cosign.pub
	env      []string
}

// newShop copies the results of the example repository into the registry.
func newShop(t *testing.T, registry servers.Registry) *shop {
	t.Helper()
	s := &shop{registry: registry, store: registry.Host + "/dynamo/profiles", repo: repository(t)}
	require.NoError(t, os.Mkdir(filepath.Join(s.repo, ".git"), 0o755))
	config := strings.TrimPrefix(registry.Env[0], "DOCKER_CONFIG=")
	s.env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + servers.Dir(t), "TMPDIR=" + servers.Dir(t),
		"COSIGN_PASSWORD=" + keyPassword, "DYNAMO_CMP_STORE=" + s.store, "DYNAMO_CMP_PYTHON=" + os.Getenv("DYNAMO_CMP_PYTHON")}, registry.Env...)
	s.keys = s.keyPair(t)

	t.Setenv("DOCKER_CONFIG", config)
	index, err := layout.ImageIndexFromPath(filepath.Join(s.repo, ".dynamo-cmp", "store"))
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	for _, desc := range manifest.Manifests {
		img, err := index.Image(desc.Digest)
		require.NoError(t, err)
		ref, err := name.NewTag(s.store + ":" + desc.Annotations["org.opencontainers.image.ref.name"])
		require.NoError(t, err)
		require.NoError(t, remote.Write(ref, img, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(registry.Transport)))
	}
	require.NoError(t, os.RemoveAll(filepath.Join(s.repo, ".dynamo-cmp")))
	return s
}

// keyPair is a directory with a key pair of cosign.
func (s *shop) keyPair(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(servers.Tool(t, "cosign"), "generate-key-pair")
	cmd.Dir, cmd.Env = dir, s.env
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

// run runs a command in the repository and returns its exit status and all that it
// printed, in which there is no secret.
func (s *shop) run(t *testing.T, binary string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = s.repo, s.env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	for _, secret := range append(s.registry.Secrets, keyPassword) {
		require.NotContains(t, string(out), secret)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (s *shop) cosign(t *testing.T, args ...string) (int, string) {
	t.Helper()
	return s.run(t, servers.Tool(t, "cosign"), args...)
}

// generate renders an application, without local copies.
func (s *shop) generate(t *testing.T, app, keys string) (int, string) {
	t.Helper()
	return s.run(t, pluginBinary(t), "generate", "apps/"+app, "--trusted-keys", filepath.Join(keys, "cosign.pub"), "--cache-dir", "")
}

// offline makes cosign sign with the key alone.
func offline() []string {
	return []string{"--tlog-upload=false", "--use-signing-config=false", "--yes"}
}

func TestStore(t *testing.T) {
	for kind, start := range map[string]func(*testing.T) servers.Registry{
		"referrers API": func(t *testing.T) servers.Registry { return servers.StartMemoryRegistry(t, true) },
		"tag schema":    func(t *testing.T) servers.Registry { return servers.StartMemoryRegistry(t, false) },
		"distribution":  func(t *testing.T) servers.Registry { return servers.StartDistribution(t) },
	} {
		t.Run(kind, func(t *testing.T) {
			s := newShop(t, start(t))
			t.Run("unsigned", s.unsigned)
			t.Run("cosign's signature verifies here", s.signedByCosign)
			t.Run("cosign's older signature verifies here", s.signedByOlderCosign)
			t.Run("ours verifies there", s.signedByRunner)
			if kind == "distribution" { // a run takes a while
				t.Run("cosign verifies the attestation of a run", s.attested)
				t.Run("audit", s.audited)
			}
			t.Run("one file carries results and signatures to another store", s.carried)
			t.Run("what is in no use goes with its signatures", s.swept)
		})
	}
}

func (s *shop) unsigned(t *testing.T) {
	code, out := s.generate(t, "qwen-small", s.keys)
	require.Equal(t, 6, code, out)
	require.Contains(t, out, "result "+qwenResult+" is not signed")
	code, out = s.cosign(t, "verify", "--key", filepath.Join(s.keys, "cosign.pub"), "--private-infrastructure", s.store+"@"+qwenResult)
	require.NotZero(t, code, out)
}

func (s *shop) signedByCosign(t *testing.T) {
	args := append([]string{"sign", "--key", filepath.Join(s.keys, "cosign.key")}, offline()...)
	code, out := s.cosign(t, append(args, s.store+"@"+qwenResult)...)
	require.Zero(t, code, out)
	code, out = s.generate(t, "qwen-small", s.keys)
	require.Zero(t, code, out)
	require.Contains(t, out, "name: qwen-small-dgd")

	code, out = s.generate(t, "qwen-small", s.keyPair(t))
	require.Equal(t, 6, code, out)
	require.Contains(t, out, "result "+qwenResult+" is signed by none of the trusted keys")
}

func (s *shop) signedByOlderCosign(t *testing.T) {
	keys := s.keyPair(t)
	args := append([]string{"sign", "--key", filepath.Join(keys, "cosign.key"), "--new-bundle-format=false"}, offline()...)
	code, out := s.cosign(t, append(args, s.store+"@"+qwenResult)...)
	require.Zero(t, code, out)
	code, out = s.generate(t, "qwen-small", keys)
	require.Zero(t, code, out)
}

func (s *shop) signedByRunner(t *testing.T) {
	code, out := s.run(t, runnerBinary(t), "sign", "apps/llama-70b", "--signing-key", filepath.Join(s.keys, "cosign.key"))
	require.Zero(t, code, out)
	require.Contains(t, out, llamaResult+" signed")
	verify := func(keys string) (int, string) {
		return s.cosign(t, "verify", "--key", filepath.Join(keys, "cosign.pub"), "--private-infrastructure", s.store+"@"+llamaResult)
	}
	code, out = verify(s.keys)
	require.Zero(t, code, out)
	require.Contains(t, out, llamaResult)
	code, out = verify(s.keyPair(t))
	require.NotZero(t, code, out)
	code, out = s.generate(t, "llama-70b", s.keys)
	require.Zero(t, code, out)
}

func (s *shop) attested(t *testing.T) {
	code, out := s.run(t, runnerBinary(t), "run", "apps/qwen-small", "--force", "--signing-key", filepath.Join(s.keys, "cosign.key"),
		"--runner-image", "example.com/runner@sha256:"+strings.Repeat("a", 64))
	require.Zero(t, code, out)
	lock, err := os.ReadFile(filepath.Join(s.repo, "apps", "qwen-small", "dynamo.lock"))
	require.NoError(t, err)
	result := regexp.MustCompile(`result: (sha256:[0-9a-f]{64})`).FindStringSubmatch(string(lock))[1]
	ref := s.store + "@" + result
	for _, args := range [][]string{
		{"verify"}, {"verify-attestation", "--type", "slsaprovenance1"},
	} {
		args = append(args, "--key", filepath.Join(s.keys, "cosign.pub"), "--private-infrastructure", ref)
		code, out = s.cosign(t, args...)
		require.Zero(t, code, out)
	}
	code, out = s.generate(t, "qwen-small", s.keys)
	require.Zero(t, code, out)
}

func (s *shop) audited(t *testing.T) {
	require.NoError(t, os.WriteFile(filepath.Join(s.repo, "policy.yaml"), []byte(`apiVersion: dynamo-cmp.github.io/v1
kind: Policy
requireSignature: true
`), 0o600))
	code, out := s.run(t, pluginBinary(t), "verify", "--policy", "policy.yaml", "--trusted-keys", filepath.Join(s.keys, "cosign.pub"))
	require.Zero(t, code, out)
	require.Regexp(t, `qwen-small .* 0h +ok`, out)
	require.Regexp(t, `llama-70b .* unknown +ok`, out)
}

// carried bundles both results, each of which is signed by now, and loads them.
func (s *shop) carried(t *testing.T) {
	file, site := filepath.Join(servers.Dir(t), "profiles.tar"), s.registry.Host+"/site/profiles"
	code, out := s.run(t, runnerBinary(t), "bundle", "apps/llama-70b", "apps/qwen-small", "-o", file)
	require.Zero(t, code, out)
	code, out = s.run(t, runnerBinary(t), "load", file, "--store", site)
	require.Zero(t, code, out)
	require.Regexp(t, `: 2 results, [1-9]\d* signatures and attestations`, out)
	for _, app := range []string{"qwen-small", "llama-70b"} {
		code, out = s.run(t, pluginBinary(t), "generate", "apps/"+app, "--store", site, "--trusted-keys", filepath.Join(s.keys, "cosign.pub"), "--cache-dir", "")
		require.Zero(t, code, out)
		code, out = s.run(t, runnerBinary(t), "show", app, "--store", site)
		require.Zero(t, code, out)
	}
	code, out = s.run(t, runnerBinary(t), "ls", "--store", site)
	require.Zero(t, code, out)
	require.Contains(t, out, qwenResult[:len("sha256:")+12])
	require.Contains(t, out, llamaResult[:len("sha256:")+12])
	code, out = s.run(t, runnerBinary(t), "diff", "llama-70b", "qwen-small", "--store", site)
	require.Zero(t, code, out)
	require.Contains(t, out, "pick.mode")
}

// swept has llama-70b go, which two signatures in two forms refer to.
func (s *shop) swept(t *testing.T) {
	code, out := s.cosign(t, append([]string{"sign", "--key", filepath.Join(s.keys, "cosign.key"), "--new-bundle-format=false", s.store + "@" + llamaResult}, offline()...)...)
	require.Zero(t, code, out)
	require.NoError(t, os.RemoveAll(filepath.Join(s.repo, "apps", "llama-70b")))
	require.NoError(t, os.RemoveAll(filepath.Join(s.repo, ".git")))
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "all"}} {
		code, out = s.run(t, "git", args...)
		require.Zero(t, code, out)
	}
	gc := func() string {
		code, out := s.run(t, runnerBinary(t), "gc", "--grace", "0")
		require.Zero(t, code, out)
		return out
	}
	require.Contains(t, gc(), "1 in no use have no date") // no runner pushed it
	out = gc()
	require.Contains(t, out, llamaResult)
	require.Contains(t, out, ": 3 deleted, ")

	repo, err := name.NewRepository(s.store)
	require.NoError(t, err)
	tags, err := remote.List(repo, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(s.registry.Transport))
	require.NoError(t, err)
	for _, tag := range tags {
		require.NotContains(t, tag, strings.TrimPrefix(llamaResult, "sha256:"))
	}
	require.Contains(t, gc(), ": 0 deleted, ")
	code, out = s.generate(t, "qwen-small", s.keys)
	require.Zero(t, code, out)
}
