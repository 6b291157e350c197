package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

// nights are thorough requests on one cluster, each with a key of its own.
type nights struct {
	*cluster
	t     *testing.T // of all tests on the cluster
	env   []string
	asked int
	fault atomic.Value // func(engine string) servers.Fault
}

func newNights(t *testing.T) *nights {
	t.Helper()
	ns := &nights{t: t}
	ns.healthy()
	ns.cluster = startCluster(t, servers.OperatorConfig{Fault: func(dgd *unstructured.Unstructured) servers.Fault {
		return ns.fault.Load().(func(string) servers.Fault)(engineOf(dgd))
	}})
	aiperf, err := filepath.Abs("testdata")
	require.NoError(t, err)
	ns.env = append(os.Environ(), "KUBECONFIG="+ns.kubeconfig, "HF_HUB_CACHE="+ns.Hub.Dir, "HF_HUB_OFFLINE=1",
		"PATH="+aiperf+":"+os.Getenv("PATH"))
	return ns
}

// engineOf names the engine of a candidate as the runner does: decode tp4.
func engineOf(dgd *unstructured.Unstructured) string {
	text := fmt.Sprint(dgd.Object["spec"])
	role, tp := "decode", regexp.MustCompile(`--tensor-parallel-size (\d+)`).FindStringSubmatch(text)[1]
	if strings.Contains(text, "--no-enable-prefix-caching") {
		role = "prefill"
	}
	return role + " tp" + tp
}

func (ns *nights) healthy() {
	ns.fault.Store(func(string) servers.Fault { return servers.NoFault })
}

// broken gives every candidate of these engines a fault until the test ends.
func (ns *nights) broken(t *testing.T, fault servers.Fault, engines ...string) {
	ns.fault.Store(func(engine string) servers.Fault {
		for _, e := range engines {
			if strings.HasPrefix(engine, e) {
				return fault
			}
		}
		return servers.NoFault
	})
	t.Cleanup(ns.healthy)
}

// night is a repository with a request that no other test asked.
func (ns *nights) night(t *testing.T) *night {
	t.Helper()
	ns.asked++
	n := &night{cluster: ns.cluster, dir: t.TempDir(), env: ns.env}
	n.write(t, strings.Replace(thoroughRequest, "isl: 500", "isl: "+strconv.Itoa(500+ns.asked), 1))
	n.args = []string{"run", "apps", "--namespace", "profiling", "--store", "oci-layout:" + filepath.Join(n.dir, "store"),
		"--lease-duration", "6s", "--decode-points", "2", "--output", "json"}
	t.Cleanup(func() { n.requireNothingLeft(t) })
	return n
}

// states are what came of the trials, by engine.
func (n *night) states(t *testing.T, digest string) map[string]string {
	t.Helper()
	states := map[string]string{}
	for _, tr := range n.trials(t, digest) {
		states[fmt.Sprintf("%s tp%d", tr.Role, tr.GPUs)] = strings.TrimSpace(tr.State + " " + regexp.MustCompile(`dpr-\w+-?[-\w]*`).ReplaceAllString(tr.Reason, "POD"))
	}
	return states
}

// full says that there is time for everything: FULL=1.
func full() bool { return os.Getenv("FULL") != "" }

// TestThoroughFaults breaks what a night may break. What takes longest waits for
// FULL=1.
func TestThoroughFaults(t *testing.T) {
	ns := newNights(t)
	short := []string{"out of memory", "a signal", "curves"}
	for name, test := range map[string]func(*testing.T, *night){
		"never ready": func(t *testing.T, n *night) {
			ns.broken(t, servers.NeverReady, "decode tp4")
			row, _ := n.run(t, "--ready-timeout", "30s")
			require.Empty(t, row.Error)
			states := n.states(t, row.Digest)
			require.Contains(t, states["decode tp4"], "failed never ready: not ready 30s after its pods had nodes")
			require.Equal(t, "measured", states["decode tp2"])
		},
		"out of memory": func(t *testing.T, n *night) {
			ns.broken(t, servers.OutOfMemory, "decode tp2")
			row, said := n.run(t, "--max-gpus", "4") // so that tp1 waits for it
			require.Empty(t, row.Error)
			states := n.states(t, row.Digest)
			require.Contains(t, states["decode tp2"], "failed out of memory: pod POD: OOMKilled")
			require.Equal(t, "skipped tp2 ran out of memory on 2 GPUs", states["decode tp1"])
			require.Equal(t, "measured", states["decode tp4"])
			require.NotContains(t, said, "decode tp1 deploys")
		},
		"crash": func(t *testing.T, n *night) {
			ns.broken(t, servers.CrashLoop, "prefill")
			row, _ := n.run(t)
			require.Contains(t, row.Error, "no prefill engine could be measured:\n\tprefill tp1: crash: pod")
			again, said := n.run(t)
			require.Contains(t, again.Error, "no prefill engine could be measured")
			require.NotContains(t, said, "deploys", "a crash is not tried again")
		},
		"image pull": func(t *testing.T, n *night) {
			ns.broken(t, servers.ImagePull, "prefill", "decode")
			row, said := n.run(t, "--ready-timeout", "60s")
			require.Contains(t, row.Error, "every candidate would fail like this: 0 of 6 candidates are done")
			require.Contains(t, row.Error, "image pull: pod ")
			require.NotContains(t, said, "tp1 deploys", "the run ends early")
		},
		"quota": func(t *testing.T, n *night) {
			quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "gpus"}, Spec: corev1.ResourceQuotaSpec{
				Hard: corev1.ResourceList{"requests.nvidia.com/gpu": resource.MustParse("2")}}}
			_, err := n.core.CoreV1().ResourceQuotas("profiling").Create(t.Context(), quota, metav1.CreateOptions{})
			require.NoError(t, err)
			defer func() {
				require.NoError(t, n.core.CoreV1().ResourceQuotas("profiling").Delete(t.Context(), "gpus", metav1.DeleteOptions{}))
			}()
			row, _ := n.run(t, "--schedule-timeout", "20s", "--max-gpus", "4")
			require.Empty(t, row.Error)
			states := n.states(t, row.Digest)
			require.Contains(t, states["decode tp4"], "failed quota: ")
			require.Contains(t, states["decode tp4"], "exceeded quota: gpus")
			require.Equal(t, "measured", states["decode tp1"])
		},
		"no nodes": func(t *testing.T, n *night) {
			ns.broken(t, servers.Unschedulable, "decode tp4")
			row, _ := n.run(t, "--schedule-timeout", "10s")
			require.Empty(t, row.Error)
			require.Contains(t, n.states(t, row.Digest)["decode tp4"], "failed no capacity: pod POD: Unschedulable")
		},
		"budget": func(t *testing.T, n *night) {
			row, _ := n.run(t, "--max-gpu-hours", "0.001")
			require.Contains(t, row.Error, "--max-gpu-hours is used up (0.0")
			require.Contains(t, row.Error, "candidates are done and kept; to go on with the rest: run again")
		},
		"deadline": func(t *testing.T, n *night) {
			row, _ := n.run(t, "--deadline", "5s")
			require.Contains(t, row.Error, "--deadline is over (5s)")
		},
		"a signal": func(t *testing.T, n *night) {
			n.env = append(n.env, "FAKE_AIPERF_SECONDS=600")
			cmd := n.command(t)
			said := n.start(t, cmd)
			n.await(t, said, " measures 1 of ")
			stopped := time.Now()
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			require.Error(t, cmd.Wait())
			require.Less(t, time.Since(stopped), 20*time.Second)
		},
		"two runners": func(t *testing.T, n *night) {
			n.env = append(n.env, "FAKE_AIPERF_SECONDS=5")
			first := n.command(t)
			said := n.start(t, first)
			n.await(t, said, " deploys")
			second, saidToo := n.run(t)
			require.Contains(t, second.Error, "another runner measures it")
			require.NotContains(t, saidToo, "deploys")
			require.NoError(t, first.Wait(), said)
		},
		"API server away": func(t *testing.T, n *night) {
			n.args = append(n.args, "--lease-duration", "2m")
			cmd := n.command(t)
			said := n.start(t, cmd)
			n.await(t, said, " deploys")
			n.plane.StopAPI()
			time.Sleep(30 * time.Second)
			n.plane.StartAPI(ns.t)
			require.NoError(t, cmd.Wait(), said)
			require.Equal(t, 6, strings.Count(said.String(), "is done, and kept\n"))
		},
		"registry away": func(t *testing.T, n *night) {
			r := newOutage(t)
			n.args = append(n.args, "--store", r.address+"/profiles")
			cmd := n.command(t)
			said := n.start(t, cmd)
			n.await(t, said, " measures 1 of ")
			r.away.Store(true)
			n.await(t, said, "cannot keep the measurement, tries again")
			time.Sleep(20 * time.Second)
			r.away.Store(false)
			require.NoError(t, cmd.Wait(), said)
			require.Equal(t, 6, strings.Count(said.String(), "is done, and kept\n"))
		},
		"curves": func(t *testing.T, n *night) {
			planned := strings.Replace(thoroughRequest, "isl: 500", "isl: 800", 1) +
				"  features: {planner: {optimization_target: sla, enable_throughput_scaling: true, pre_deployment_sweeping_mode: thorough}}\n"
			n.write(t, planned)
			row, said := n.run(t, "--decode-points", "3")
			require.Empty(t, row.Error)
			require.Regexp(t, `decode tp\d curve is done, and kept`, said)
			out := n.generate(t)
			require.Contains(t, out, "planner-profile-data")
			require.Contains(t, out, "prefill_raw_data.json")
		},
		"disk full": func(t *testing.T, n *night) {
			// The limit of a file's size stands in for a full disk: a write beyond it fails.
			cmd := n.command(t)
			cmd.Args = append([]string{"sh", "-c", `ulimit -f 2; exec "$0" "$@"`}, cmd.Args...)
			cmd.Path = "/bin/sh"
			out, err := cmd.Output()
			require.Error(t, err)
			require.Contains(t, string(out), "file too large")
			row, _ := n.run(t)
			require.Empty(t, row.Error, "nothing that was half written is in the way")
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !full() && !slices.Contains(short, name) {
				t.Skip("takes minutes: FULL=1 runs it")
			}
			test(t, ns.night(t))
		})
	}
}

// saying is what a process says, while it runs.
type saying struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *saying) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *saying) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// outage is a registry that can be away.
type outage struct {
	address string
	away    atomic.Bool
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o, handler := &outage{}, registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	o.address = strings.TrimPrefix(server.URL, "http://")
	return o
}
