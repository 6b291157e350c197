package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/dynamo-cmp/dynamo-cmp/"

// arrows are all imports between the packages of this module. A new one is a
// change of design: it belongs in the commit that explains it.
var arrows = map[string][]string{
	"bench":                     {"cache", "profile", "render/rendertest"}, // measures both commands from outside
	"cmd/dynamo-cmp":            {"cache", "profile", "render", "review", "revision", "trust"},
	"cmd/dynamo-profile-runner": {"cache", "profile", "profile/rapid", "profile/thorough", "render", "report", "telemetry", "trust"},
	"review":                    {"profile", "render"},
	"report":                    {"profile", "render"},
	"revision":                  nil, // knows Git and nothing of ours
	"render":                    {"planner", "profile"},
	"render/rendertest":         {"profile"},
	"planner":                   {"profile"},
	"trust":                     {"cache"},
	"cache":                     {"profile"},
	"telemetry":                 nil, // knows names and times, and nothing of ours
	"profile/rapid":             {"profile"},
	"profile/thorough":          {"profile"},
	"profile":                   nil,
	"images":                    nil, // builds the container images of both commands
	"cmd":                       nil, // tests of both commands as installed
	"docs":                      nil, // tests of the pages
}

func TestArrows(t *testing.T) {
	out := goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../../...")
	got := map[string][]string{}
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		got[pkg] = nil
		for _, imported := range words[1:] {
			if own, ok := strings.CutPrefix(imported, module); ok {
				got[pkg] = append(got[pkg], own)
			}
		}
	}
	require.Equal(t, arrows, got)
}

// The plugin runs for every application at every commit, on whatever a pull
// request holds: it links no cluster client, no profiler, nothing of Argo CD and nothing
// that reports to servers.
func TestPluginLinksNoClusterClient(t *testing.T) {
	deps := goList(t, "-deps", ".")
	for dep := range strings.Lines(deps) {
		for _, heavy := range []string{"k8s.io/client-go", "github.com/argoproj", "gonum.org/", module + "profile/", module + "telemetry",
			"go.opentelemetry.io/", "github.com/prometheus/client_golang", "google.golang.org/grpc", "github.com/go-git/go-git/v5/plumbing/transport"} {
			require.False(t, strings.HasPrefix(dep, heavy), "dynamo-cmp links %s", dep)
		}
	}
}

// The vocabulary and the planner are values in, values out.
func TestPureMeansNoInputOutput(t *testing.T) {
	out := goList(t, "-f", `{{join .Imports "\n"}}`, "../../profile", "../../planner")
	for imported := range strings.Lines(out) {
		require.NotContains(t, []string{"os", "os/exec", "net/http", "time", "math/rand"}, strings.TrimSpace(imported))
	}
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	require.NoError(t, err)
	return string(out)
}
