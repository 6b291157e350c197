package servers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Plugin is a running argocd-cmp-server, as the sidecar of the repo-server has it.
type Plugin struct {
	*Process
	Sockets string // the directory with its socket
	Work    string // where it unpacks repositories
	Cache   string // the plugin's local copies
}

// StartPlugin runs Argo CD's cmp-server with a plugin.yaml, the directory of the
// plugin's binary on PATH, and variables of the sidecar's operator.
func StartPlugin(t testing.TB, config, bin string, operator ...string) *Plugin {
	t.Helper()
	binary := Tool(t, "argocd")
	dir := Dir(t)
	p := &Plugin{Sockets: filepath.Join(dir, "sock"), Work: filepath.Join(dir, "work"), Cache: filepath.Join(dir, "cache")}
	for _, d := range []string{p.Sockets, p.Work, p.Cache, filepath.Join(dir, "config")} {
		require.NoError(t, os.Mkdir(d, 0o755))
	}
	data, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config", "plugin.yaml"), data, 0o644))
	p.Process = Start(t, binary, []string{"--config-dir-path", filepath.Join(dir, "config")}, append([]string{
		"ARGOCD_BINARY_NAME=argocd-cmp-server",
		"PATH=" + bin + ":/usr/bin:/bin",
		"ARGOCD_PLUGINSOCKFILEPATH=" + p.Sockets,
		"ARGOCD_CMP_WORKDIR=" + p.Work,
		"DYNAMO_CMP_CACHE_DIR=" + p.Cache,
	}, operator...))
	p.Await(t, Accepts("unix", p.Socket()))
	return p
}

// Socket is the path of the plugin's socket.
func (p *Plugin) Socket() string { return filepath.Join(p.Sockets, "dynamo-cmp.sock") }

// RepoServer is a running argocd-repo-server with its Redis.
type RepoServer struct {
	Address string
	Redis   string // address
}

// StartRepoServer runs a repo-server that finds plugins by their sockets in a
// directory. env adds to its environment.
func StartRepoServer(t testing.TB, sockets string, env ...string) *RepoServer {
	t.Helper()
	binary, dir := Tool(t, "argocd"), Dir(t)
	redisPort, port := Port(t), Port(t)
	r := &RepoServer{Address: "127.0.0.1:" + port, Redis: "127.0.0.1:" + redisPort}
	Start(t, Tool(t, "redis-server"), []string{"--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--dir", dir}, nil).
		Await(t, Accepts("tcp", r.Redis))
	for _, d := range []string{"ssh", "tls"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	Start(t, binary, []string{"--address", "127.0.0.1", "--port", port, "--metrics-port", Port(t), "--redis", r.Redis, "--disable-tls"}, append([]string{
		"ARGOCD_BINARY_NAME=argocd-repo-server",
		"ARGOCD_GPG_ENABLED=false",
		"ARGOCD_PLUGINSOCKFILEPATH=" + sockets,
		"ARGOCD_SSH_DATA_PATH=" + filepath.Join(dir, "ssh"),
		"ARGOCD_TLS_DATA_PATH=" + filepath.Join(dir, "tls"),
		"ARGOCD_ASK_PASS_SOCK=" + filepath.Join(dir, "ask.sock"),
	}, env...)).Await(t, Accepts("tcp", r.Address))
	return r
}
