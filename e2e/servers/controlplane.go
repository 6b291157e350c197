package servers

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// token authenticates a member of system:masters.
const token = "e2e-administrator"

// ControlPlane is etcd, kube-apiserver and kube-controller-manager on loopback.
// There are no nodes: nothing runs a pod. Services get addresses of loopback too
// (127.96.0.0/16), at which a process can listen in the place of pods.
type ControlPlane struct {
	Config     *rest.Config // as a member of system:masters
	Kubeconfig string       // the same in a file

	dir, etcd string // etcd's client URL
	port      string
	api       *Process
}

// StartControlPlane starts a control plane that ends with the test.
func StartControlPlane(t testing.TB) *ControlPlane {
	t.Helper()
	etcd, controllers := Tool(t, "etcd"), Tool(t, "kube-controller-manager")
	c := &ControlPlane{dir: Dir(t), port: Port(t), etcd: "http://127.0.0.1:" + Port(t)}
	writeCertificates(t, c.dir)
	writeKey(t, c.file("accounts.key"), key(t))
	require.NoError(t, os.WriteFile(c.file("tokens.csv"), []byte(token+`,administrator,1,"system:masters"`+"\n"), 0o600))
	c.Kubeconfig = c.writeKubeconfig(t, "kubeconfig", "")
	var err error
	c.Config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	require.NoError(t, err)
	c.Config.QPS, c.Config.Burst = 200, 400

	peer := "http://127.0.0.1:" + Port(t)
	store := Start(t, etcd, []string{
		"--data-dir", c.file("etcd"), "--name", "e2e", "--unsafe-no-fsync",
		"--listen-client-urls", c.etcd, "--advertise-client-urls", c.etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "e2e=" + peer,
	}, nil)
	store.Await(t, healthy(http.DefaultClient, c.etcd+"/health"))
	c.StartAPI(t)
	Start(t, controllers, []string{
		"--kubeconfig", c.Kubeconfig, "--leader-elect=false", "--secure-port", Port(t), "--bind-address=127.0.0.1",
		"--service-account-private-key-file", c.file("accounts.key"), "--root-ca-file", c.file("ca.crt"),
		"--controllers=*,-node-ipam-controller,-bootstrap-signer-controller,-token-cleaner-controller",
		"--use-service-account-credentials=false",
	}, nil)
	return c
}

// StartAPI starts the API server, for the first time or after StopAPI, and waits
// until it is ready.
func (c *ControlPlane) StartAPI(t testing.TB) {
	t.Helper()
	c.api = Start(t, Tool(t, "kube-apiserver"), []string{
		"--etcd-servers", c.etcd, "--bind-address=127.0.0.1", "--secure-port", c.port,
		"--tls-cert-file", c.file("server.crt"), "--tls-private-key-file", c.file("server.key"),
		"--client-ca-file", c.file("ca.crt"), "--token-auth-file", c.file("tokens.csv"),
		"--authorization-mode=RBAC", "--service-cluster-ip-range=127.96.0.0/16", "--allow-privileged=true",
		"--endpoint-reconciler-type=none", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file", c.file("accounts.key"), "--service-account-key-file", c.file("accounts.key"),
	}, nil)
	client, err := rest.HTTPClientFor(c.Config)
	require.NoError(t, err)
	c.api.Await(t, healthy(client, c.Config.Host+"/readyz"))
}

// StopAPI stops the API server; what it stored stays.
func (c *ControlPlane) StopAPI() { c.api.Kill() }

func (c *ControlPlane) file(name string) string { return filepath.Join(c.dir, name) }

// As is a kubeconfig by which one has the rights of a user or service account.
func (c *ControlPlane) As(t testing.TB, user string) string {
	t.Helper()
	return c.writeKubeconfig(t, "kubeconfig-"+strings.ReplaceAll(user, ":", "-"), user)
}

func (c *ControlPlane) writeKubeconfig(t testing.TB, name, as string) string {
	t.Helper()
	conf := clientcmdapi.NewConfig()
	conf.Clusters["e2e"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:" + c.port, CertificateAuthority: c.file("ca.crt")}
	conf.AuthInfos["e2e"] = &clientcmdapi.AuthInfo{Token: token, Impersonate: as}
	conf.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "e2e"}
	conf.CurrentContext = "e2e"
	require.NoError(t, clientcmd.WriteToFile(*conf, c.file(name)))
	return c.file(name)
}

// healthy is a readiness check: the URL answers 200.
func healthy(client *http.Client, url string) func() error {
	return func() error {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return &http.ProtocolError{ErrorString: resp.Status}
		}
		return nil
	}
}
