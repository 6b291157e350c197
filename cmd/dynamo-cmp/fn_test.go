package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// Under the real kustomize, fn makes of an application what generate makes of it,
// and kustomize's own changes of the DGDR come first: here a name prefix, by which
// the lock knows the request.
func TestFnUnderKustomize(t *testing.T) {
	kustomize := os.Getenv("DYNAMO_CMP_KUSTOMIZE")
	if kustomize == "" {
		t.Skip("no kustomize: DYNAMO_CMP_KUSTOMIZE does not name one")
	}
	self, err := exec.LookPath("dynamo-cmp")
	require.NoError(t, err)
	repo := exampleRepo(t)
	app := filepath.Join(repo, "apps", "llama-70b")
	want := run(t, exec.Command(self, "generate", app))

	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(app, name), []byte(text), 0o644))
	}
	write("function.yaml", `apiVersion: dynamo-cmp.github.io/v1
kind: DynamoCMP
metadata:
  name: dynamo-cmp
  annotations:
    config.kubernetes.io/function: |
      exec: {path: `+self+`, args: [fn]}
`)
	write("kustomization.yaml", "resources: [dgdr.yaml]\ntransformers: [function.yaml]\n")
	got := run(t, exec.Command(kustomize, "build", "--enable-alpha-plugins", "--enable-exec", app))
	require.Equal(t, objectsOf(t, want), objectsOf(t, got))

	// What is around it changes what is generated, as in the build of generate.
	overlay := filepath.Join(repo, "apps", "production")
	require.NoError(t, os.Mkdir(overlay, 0o755))
	require.NoError(t, exec.Command("cp", filepath.Join(app, cache.LockFile), overlay).Run())
	require.NoError(t, os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(`resources: [../llama-70b]
namespace: inference
labels: [{pairs: {team: serving}}]
patches:
- target: {kind: DynamoGraphDeployment}
  patch: |
    - op: replace
      path: /spec/components/0/replicas
      value: 3
`), 0o644))
	got = run(t, exec.Command(kustomize, "build", "--enable-alpha-plugins", "--enable-exec", overlay))
	write("kustomization.yaml", "resources: [dgdr.yaml]\n")
	want = run(t, exec.Command(self, "generate", overlay))
	require.Contains(t, want, "replicas: 3")
	require.Equal(t, objectsOf(t, want), objectsOf(t, got))

	// An error stops the build and says why.
	write("kustomization.yaml", "namePrefix: other-\nresources: [dgdr.yaml]\ntransformers: [function.yaml]\n")
	cmd := exec.Command(kustomize, "build", "--enable-alpha-plugins", "--enable-exec", app)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.Error(t, cmd.Run())
	require.Empty(t, stdout.String())
	require.Contains(t, stderr.String(), `no profiling result is locked for request "other-llama-70b"`)
}
