package servers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// Registry is an OCI registry on loopback.
type Registry struct {
	Host string // with its port
	// Env is what a client needs to be let in: DOCKER_CONFIG, and SSL_CERT_FILE
	// where the registry speaks TLS.
	Env       []string
	Transport http.RoundTripper // trusts its certificate
	Secrets   []string          // must never be printed
}

// StartMemoryRegistry starts go-containerregistry's registry in this process, over
// plain HTTP and for anybody.
func StartMemoryRegistry(t testing.TB, referrers bool) Registry {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return Registry{Host: server.Listener.Addr().String(), Env: []string{"DOCKER_CONFIG=" + Dir(t)}, Transport: http.DefaultTransport}
}

// StartDistribution starts the distribution registry with TLS and a user that
// htpasswd knows. It has no referrers API.
func StartDistribution(t testing.TB) Registry {
	t.Helper()
	const user, password = "runner", "s3cret-of-the-registry"
	binary, dir := Tool(t, "registry"), Dir(t)
	writeCertificates(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(user+":"+string(hash)+"\n"), 0o600))
	host := "127.0.0.1:" + Port(t)
	config := fmt.Sprintf(`version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: %[1]s/data}, delete: {enabled: true}}
http: {addr: %[2]q, tls: {certificate: %[1]s/server.crt, key: %[1]s/server.key}}
auth: {htpasswd: {realm: e2e, path: %[1]s/htpasswd}}
`, dir, host)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600))
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	login, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": basic}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), login, 0o600))

	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	require.True(t, authorities.AppendCertsFromPEM(ca))
	Start(t, binary, []string{"serve", filepath.Join(dir, "config.yml")}, nil).Await(t, Accepts("tcp", host))
	return Registry{
		Host:      host,
		Env:       []string{"DOCKER_CONFIG=" + dir, "SSL_CERT_FILE=" + filepath.Join(dir, "ca.crt")},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}},
		Secrets:   []string{password, basic},
	}
}
