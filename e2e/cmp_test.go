package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v2/util/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"
	"sigs.k8s.io/yaml"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// server is a running argocd-cmp-server with our plugin, and a client of it.
type server struct {
	*servers.Plugin
	client apiclient.ConfigManagementPluginServiceClient
}

// startServer runs the real cmp-server with a plugin.yaml of this repository and
// extra variables of the operator.
func startServer(t *testing.T, config string, operator ...string) server {
	t.Helper()
	plugin := servers.StartPlugin(t, filepath.Join("..", config), filepath.Dir(pluginBinary(t)), operator...)
	conn, client, err := apiclient.NewConfigManagementPluginClientSet(plugin.Socket()).NewConfigManagementPluginClient()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return server{plugin, client}
}

var buildCommands = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dynamo-cmp")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "./cmd/...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	return dir, cmd.Run()
})

// pluginBinary is the dynamo-cmp of this checkout.
func pluginBinary(t *testing.T) string { return command(t, "dynamo-cmp") }

// runnerBinary is the dynamo-profile-runner of this checkout.
func runnerBinary(t *testing.T) string { return command(t, "dynamo-profile-runner") }

func command(t *testing.T, name string) string {
	t.Helper()
	dir, err := buildCommands()
	require.NoError(t, err)
	return filepath.Join(dir, name)
}

// repository is a copy of the example repository.
func repository(t *testing.T) string {
	t.Helper()
	repo := t.TempDir()
	require.NoError(t, exec.Command("cp", "-r", "../examples/gitops-repo/.", repo).Run())
	return repo
}

// environment is what the repo-server sends along for an application.
func environment(app string) []string {
	return []string{
		"ARGOCD_APP_NAME=" + app, "ARGOCD_APP_NAMESPACE=inference", "ARGOCD_APP_REVISION=4b825dc642cb6eb9a060e54bf8d69288fbee4904",
		"ARGOCD_APP_SOURCE_PATH=apps/" + app, "ARGOCD_APP_PARAMETERS=null", "KUBE_VERSION=1.33.1", "KUBE_API_VERSIONS=v1",
	}
}

// generate asks for the manifests of an application as the repo-server does, and
// returns each as JSON, sorted.
func (s server) generate(ctx context.Context, repo, app string) ([]string, error) {
	stream, err := s.client.GenerateManifest(ctx)
	if err != nil {
		return nil, err
	}
	if err := cmp.SendRepoStream(stream.Context(), filepath.Join(repo, "apps", app), repo, stream, environment(app), nil); err != nil {
		return nil, err
	}
	resp, err := stream.CloseAndRecv()
	if err != nil {
		return nil, err
	}
	sort.Strings(resp.Manifests)
	return resp.Manifests, nil
}

// fromCommand is what dynamo-cmp generate prints for an application, in the form
// in which the server answers.
func fromCommand(t *testing.T, repo, app string) []string {
	t.Helper()
	cmd := exec.Command(pluginBinary(t), "generate", filepath.Join(repo, "apps", app), "--cache-dir", "")
	cmd.Env = append(os.Environ(), "DYNAMO_CMP_STORE=oci-layout:"+filepath.Join(repo, ".dynamo-cmp/store"))
	require.NoError(t, os.MkdirAll(filepath.Join(repo, ".git"), 0o755))
	out, err := cmd.Output()
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(repo, ".git")))
	var manifests []string
	for _, doc := range strings.Split(string(out), "\n---\n") {
		data, err := yaml.YAMLToJSON([]byte(doc))
		require.NoError(t, err)
		manifests = append(manifests, string(data))
	}
	sort.Strings(manifests)
	return manifests
}

func TestServerAnswersWhatTheCommandPrints(t *testing.T) {
	s := startServer(t, "plugin.yaml")
	for _, app := range []string{"qwen-small", "llama-70b"} {
		repo := repository(t)
		got, err := s.generate(t.Context(), repo, app)
		require.NoError(t, err)
		want := fromCommand(t, repo, app)
		require.Len(t, got, len(want))
		for i := range want {
			require.JSONEq(t, want[i], got[i])
		}
	}
}

func TestMissShowsTheWayOut(t *testing.T) {
	s := startServer(t, "plugin.yaml")
	_, err := s.generate(t.Context(), repository(t), "deepseek-r1")
	require.ErrorContains(t, err, `exit status 3: apps/deepseek-r1/dgdr.yaml:1: no profiling result is locked for request "deepseek-r1"`)
	require.True(t, strings.HasSuffix(strings.TrimSpace(err.Error()), "to profile it: dynamo-profile-runner run apps/deepseek-r1"), err.Error())
	require.Less(t, len(err.Error()), 4<<10)
}

func TestParametersAreAnnounced(t *testing.T) {
	s := startServer(t, "plugin.yaml")
	repo := repository(t)
	stream, err := s.client.GetParametersAnnouncement(t.Context())
	require.NoError(t, err)
	require.NoError(t, cmp.SendRepoStream(stream.Context(), filepath.Join(repo, "apps", "qwen-small"), repo, stream, nil, nil))
	resp, err := stream.CloseAndRecv()
	require.NoError(t, err)
	var names []string
	for _, p := range resp.ParameterAnnouncements {
		names = append(names, p.Name)
	}
	require.Contains(t, names, "allow")
	require.Contains(t, names, "require-sla-met")
}

// The plugin is chosen by name; the variant with discovery takes directories with
// a DGDR and leaves plain kustomizations and charts alone.
func TestDiscovery(t *testing.T) {
	conf, err := startServer(t, "plugin.yaml").client.CheckPluginConfiguration(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	require.False(t, conf.IsDiscoveryConfigured)

	s := startServer(t, "examples/gitops-repo/platform/argocd/plugin-discover.yaml")
	repo := repository(t)
	for name, data := range map[string]string{
		"apps/plain/kustomization.yaml": "resources: [a.yaml]\n",
		"apps/plain/a.yaml":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
		"apps/chart/Chart.yaml":         "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(repo, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(repo, name), []byte(data), 0o644))
	}
	got := map[string]bool{}
	for _, app := range []string{"qwen-small", "deepseek-r1", "plain", "chart"} {
		stream, err := s.client.MatchRepository(t.Context())
		require.NoError(t, err)
		require.NoError(t, cmp.SendRepoStream(stream.Context(), filepath.Join(repo, "apps", app), repo, stream, nil, nil))
		resp, err := stream.CloseAndRecv()
		require.NoError(t, err)
		got[app] = resp.IsSupported
	}
	require.Equal(t, map[string]bool{"qwen-small": true, "deepseek-r1": true, "plain": false, "chart": false}, got)
}

// A caller that goes away in the middle of a render leaves nothing behind.
func TestDeadlineLeavesNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close() // connections are taken by the kernel and never answered
	s := startServer(t, "plugin.yaml", "DYNAMO_CMP_STORE="+silent.Addr().String()+"/profiles")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = s.generate(ctx, repository(t), "qwen-small")
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(plugins(s.PID())) == 0 }, 10*time.Second, 50*time.Millisecond, "the plugin still runs")
	require.Eventually(t, func() bool { return len(filesBelow(t, s.Work)) == 0 }, 10*time.Second, 50*time.Millisecond, "the work tree is still there")
	for _, f := range filesBelow(t, s.Cache) {
		require.True(t, strings.HasPrefix(f, ".slots/"), "left in the cache: %s", f)
	}
}

// Argo CD bounds nothing: thirty applications at once each get their answer, within
// the memory of a modest sidecar.
func TestThirtyAtOnce(t *testing.T) {
	const limitMiB = 512
	s := startServer(t, "plugin.yaml", "DYNAMO_CMP_TIMEOUT=50s")
	repo := repository(t)
	done := make(chan struct{})
	peak := make(chan int)
	go func() {
		most := 0
		for {
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
				total := residentKiB(s.PID())
				for _, pid := range plugins(s.PID()) {
					total += residentKiB(pid)
				}
				most = max(most, total)
			}
		}
	}()
	errs := make([]error, 30)
	manifests := make([][]string, 30)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { manifests[i], errs[i] = s.generate(t.Context(), repo, "llama-70b") })
	}
	group.Wait()
	close(done)
	most := <-peak / 1024
	t.Logf("server and plugins held %d MiB at most", most)
	for i := range errs {
		require.NoError(t, errs[i])
		require.Equal(t, manifests[0], manifests[i])
	}
	require.Less(t, most, limitMiB)
	require.Len(t, manifests[0], 2, "the deployment and the planner's ConfigMap")
}
