package servers

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ArgoCD is Argo CD's controllers and API server, beside a repo-server, in the
// namespace argocd of a control plane that they also deploy to.
type ArgoCD struct {
	url string
}

// StartArgoCD installs Argo CD's definitions and settings in a control plane and
// starts what works with them. settings are merged into the ConfigMap argocd-cm.
func StartArgoCD(t testing.TB, c *ControlPlane, r *RepoServer, settings map[string]string) *ArgoCD {
	t.Helper()
	binary, objects := Tool(t, "argocd"), c.Objects(t)
	manifests := ArgoManifests(t)
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "argocd"}}}
	_, err := objects.Apply(t.Context(), namespace, "e2e")
	require.NoError(t, err)
	definitions, err := filepath.Glob(filepath.Join(manifests, "crds/*-crd.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, definitions)
	objects.Define(t, definitions...)
	configs, err := filepath.Glob(filepath.Join(manifests, "base/config/argocd-*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, configs)
	objects.ApplyFiles(t, "argocd", configs...)
	data := map[string]any{"timeout.reconciliation": "10s"}
	for k, v := range settings {
		data[k] = v
	}
	config := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]any{"name": "argocd-cm", "namespace": "argocd"}}}
	config.SetLabels(map[string]string{"app.kubernetes.io/part-of": "argocd"})
	_, err = objects.Apply(t.Context(), config, "settings")
	require.NoError(t, err)

	env := []string{"ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + c.Kubeconfig}
	common := []string{"--kubeconfig", c.Kubeconfig, "--namespace", "argocd", "--redis", r.Redis, "--repo-server", r.Address, "--repo-server-plaintext"}
	port := Port(t)
	a := &ArgoCD{url: "http://127.0.0.1:" + port}
	server := Start(t, binary, append([]string{"--insecure", "--disable-auth", "--address", "127.0.0.1", "--port", port, "--metrics-port", Port(t)}, common...),
		append([]string{"ARGOCD_BINARY_NAME=argocd-server"}, env...))
	server.Await(t, healthy(http.DefaultClient, a.url+"/healthz"))
	Start(t, binary, append([]string{"--metrics-port", Port(t), "--app-resync", "10", "--persist-resource-health"}, common...),
		append([]string{"ARGOCD_BINARY_NAME=argocd-application-controller", "HOSTNAME=argocd-application-controller-0"}, env...))
	Start(t, binary, []string{
		"--kubeconfig", c.Kubeconfig, "--namespace", "argocd", "--argocd-repo-server", r.Address, "--repo-server-plaintext",
		"--metrics-addr", "127.0.0.1:" + Port(t), "--probe-addr", "127.0.0.1:" + Port(t), "--webhook-addr", "127.0.0.1:" + Port(t),
	}, append([]string{"ARGOCD_BINARY_NAME=argocd-applicationset-controller"}, env...))
	return a
}

// ArgoManifests is the directory of the manifests that Argo CD's module carries.
func ArgoManifests(t testing.TB) string {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v2").Output()
	require.NoError(t, err)
	return filepath.Join(strings.TrimSpace(string(module)), "manifests")
}

// Get reads a path of Argo CD's API, as its command line and web page do.
func (a *ArgoCD) Get(t testing.TB, path string) (map[string]any, error) {
	t.Helper()
	return a.call(http.MethodGet, path, nil)
}

// Post sends a JSON object to a path of Argo CD's API.
func (a *ArgoCD) Post(t testing.TB, path string, body map[string]any) (map[string]any, error) {
	t.Helper()
	data, err := json.Marshal(body)
	require.NoError(t, err)
	return a.call(http.MethodPost, path, strings.NewReader(string(data)))
}

func (a *ArgoCD) call(method, path string, body io.Reader) (map[string]any, error) {
	req, err := http.NewRequest(method, a.url+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		message, _ := answer["message"].(string)
		return nil, &http.ProtocolError{ErrorString: message}
	}
	return answer, nil
}
