package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

const observability = "../../examples/gitops-repo/platform/observability"

var metricName = regexp.MustCompile(`dynamo_cmp_[a-z_]+`)

// namesIn are the metrics that a text names; the series of a histogram are its own.
func namesIn(text string) map[string]bool {
	names := map[string]bool{}
	for _, name := range metricName.FindAllString(text, -1) {
		for _, series := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, series)
		}
		names[name] = true
	}
	return names
}

// registered are the metrics of a run in which everything happens.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	m := telemetry.NewMetrics("v1")
	m.Take(telemetry.Event{Kind: telemetry.RequestStarted, BudgetGPUSeconds: 1})
	m.Take(telemetry.Event{Kind: telemetry.StageEnded, Stage: telemetry.Lookup, Outcome: telemetry.Hit})
	m.Take(telemetry.Event{Kind: telemetry.CandidateEnded, Candidate: &telemetry.Candidate{Reason: "crash", GPUSeconds: 1, Phases: []telemetry.Phase{{Name: "deploy"}}}})
	m.Take(telemetry.Event{Kind: telemetry.RequestEnded, Confidence: "measured"})
	m.End(true)
	file := filepath.Join(t.TempDir(), "run.prom")
	require.NoError(t, m.Write(file))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return namesIn(string(data))
}

// The dashboard and the page show every metric, and nothing else; alerts are on metrics
// that there are.
func TestObservabilityMetrics(t *testing.T) {
	want := registered(t)
	require.Len(t, want, 13)
	dashboard, err := os.ReadFile(filepath.Join(observability, "dashboard.json"))
	require.NoError(t, err)
	require.Equal(t, want, namesIn(string(dashboard)))
	page, err := os.ReadFile("../../docs/observability.md")
	require.NoError(t, err)
	require.Equal(t, want, namesIn(string(page)))
	alerts, err := os.ReadFile(filepath.Join(observability, "alerts/rules.yaml"))
	require.NoError(t, err)
	used := namesIn(string(alerts))
	require.NotEmpty(t, used)
	for name := range used {
		require.Contains(t, want, name)
	}
}

// Grafana's sidecar gets a dashboard whose panels have ids of their own, and whose
// queries go to the chosen data source.
func TestObservabilityDashboard(t *testing.T) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), observability)
	require.NoError(t, err)
	var objects []map[string]any
	for _, resource := range built.Resources() {
		object, err := resource.Map()
		require.NoError(t, err)
		objects = append(objects, object)
	}
	maps := decoded[corev1.ConfigMap](t, objects, "ConfigMap")
	require.Len(t, maps, 1)
	require.Equal(t, map[string]string{"grafana_dashboard": "1"}, maps[0].Labels)
	type source struct{ Type, UID string }
	var dashboard struct {
		UID        string
		Templating struct {
			List []struct{ Name, Type string }
		}
		Panels []struct {
			ID         int
			Title      string
			Datasource source
			GridPos    struct{ X, Y, W, H int }
			Targets    []struct {
				Expr       string
				Datasource source
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(maps[0].Data["dynamo-profile-runner.json"]), &dashboard))
	require.Equal(t, "datasource", dashboard.Templating.List[0].Type)
	require.Equal(t, "datasource", dashboard.Templating.List[0].Name)
	ids, places := map[int]bool{}, map[[2]int]bool{}
	for _, p := range dashboard.Panels {
		require.False(t, ids[p.ID], "two panels have the id %d", p.ID)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.False(t, places[at], "%s overlaps", p.Title)
				places[at] = true
			}
		}
		require.Equal(t, source{"prometheus", "${datasource}"}, p.Datasource)
		require.NotEmpty(t, p.Targets)
		for _, target := range p.Targets {
			require.Equal(t, p.Datasource, target.Datasource)
			require.Contains(t, target.Expr, `job=~"$job"`)
		}
	}
}
