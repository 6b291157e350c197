package telemetry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	v1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/kubernetes/typed/events/v1/fake"
	core "k8s.io/client-go/testing"
)

var llama = Request{Name: "llama", File: "apps/llama/dgdr.yaml", Key: "sha256:1", Strategy: "thorough"}

// night is a run in which everything happens.
func night() []Event {
	at := func(seconds int) time.Time { return time.Unix(int64(1000+seconds), 0).UTC() }
	qwen, broken := Request{Name: "qwen", File: "apps/qwen/dgdr.yaml", Key: "sha256:2", Strategy: "rapid"}, Request{File: "apps/broken"}
	return []Event{
		{Kind: RequestStarted, Request: llama, Time: at(0), BudgetGPUSeconds: 7200},
		{Kind: StageStarted, Request: llama, Time: at(0), Stage: Lookup},
		{Kind: StageEnded, Request: llama, Time: at(1), Stage: Lookup, Outcome: Miss, Took: time.Second},
		{Kind: StageStarted, Request: llama, Time: at(1), Stage: "profile"},
		{Kind: Progress, Request: llama, Time: at(2), Text: "decode tp4 deploys"},
		{Kind: CandidateEnded, Request: llama, Time: at(30), Took: 20 * time.Second, Candidate: &Candidate{Name: "decode tp4", Outcome: "measured", GPUSeconds: 80,
			Phases: []Phase{{"deploy", at(2), at(3)}, {"ready", at(3), at(10)}, {"measure", at(10), at(20)}, {"delete", at(20), at(22)}}}},
		{Kind: CandidateEnded, Request: llama, Time: at(40), Error: "out of memory: pod x", Candidate: &Candidate{Name: "decode tp1", Outcome: "failed", Reason: "out of memory", GPUSeconds: 10}},
		{Kind: StageEnded, Request: llama, Time: at(50), Stage: "profile", Took: 49 * time.Second},
		{Kind: RequestEnded, Request: llama, Time: at(60), Took: time.Minute, Outcome: Profiled, Confidence: "measured", SLA: "met", Text: "profiled in 1m0s (1 of 3)"},
		{Kind: RequestStarted, Request: qwen, Time: at(60)},
		{Kind: RequestEnded, Request: qwen, Time: at(61), Took: time.Second, Outcome: Hit, Confidence: "simulated", SLA: "missed"},
		{Kind: RequestEnded, Request: broken, Time: at(62), Outcome: Refused, Error: "apps/broken/dgdr.yaml:3: spec.model: is missing"},
		{Kind: Warning, Request: qwen, Time: at(63), Text: "apps/qwen/dgdr.yaml: misses its SLA"},
		{Kind: Failure, Request: broken, Time: at(63), Text: "apps/broken/dgdr.yaml:3: spec.model: is missing"},
		{Kind: Failure, Time: at(64), Text: "1 of 3 without a result"},
	}
}

func TestMetrics(t *testing.T) {
	m := NewMetrics("v1")
	for _, e := range night() {
		m.Take(e)
	}
	m.End(true)
	problems, err := testutil.GatherAndLint(m.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.NoError(t, testutil.GatherAndCompare(m.registry, strings.NewReader(`
# HELP dynamo_cmp_requests Requests of the run, by what became of them.
# TYPE dynamo_cmp_requests gauge
dynamo_cmp_requests{outcome="budget"} 0
dynamo_cmp_requests{outcome="failed"} 0
dynamo_cmp_requests{outcome="held"} 0
dynamo_cmp_requests{outcome="hit"} 1
dynamo_cmp_requests{outcome="interrupted"} 0
dynamo_cmp_requests{outcome="profiled"} 1
dynamo_cmp_requests{outcome="refused"} 1
# HELP dynamo_cmp_candidates Candidates of searchStrategy thorough: measured, failed, skipped, interrupted, or recalled from an earlier run.
# TYPE dynamo_cmp_candidates gauge
dynamo_cmp_candidates{outcome="failed"} 1
dynamo_cmp_candidates{outcome="measured"} 1
# HELP dynamo_cmp_candidate_failures Candidates that failed, by the class of the failure.
# TYPE dynamo_cmp_candidate_failures gauge
dynamo_cmp_candidate_failures{reason="out of memory"} 1
# HELP dynamo_cmp_gpu_used_seconds GPU time of a request's candidates, earlier runs on the same key included.
# TYPE dynamo_cmp_gpu_used_seconds gauge
dynamo_cmp_gpu_used_seconds{file="apps/llama/dgdr.yaml",request="llama"} 90
# HELP dynamo_cmp_gpu_budget_seconds GPU time that a request's candidates may take, where there is a limit.
# TYPE dynamo_cmp_gpu_budget_seconds gauge
dynamo_cmp_gpu_budget_seconds{file="apps/llama/dgdr.yaml",request="llama"} 7200
# HELP dynamo_cmp_results Results of the run, by confidence and by whether the SLA is met, missed or unverified.
# TYPE dynamo_cmp_results gauge
dynamo_cmp_results{confidence="measured",sla="met"} 1
dynamo_cmp_results{confidence="simulated",sla="missed"} 1
# HELP dynamo_cmp_store_lookups Lookups of results in the store: hit, miss or failed.
# TYPE dynamo_cmp_store_lookups gauge
dynamo_cmp_store_lookups{result="miss"} 1
# HELP dynamo_cmp_run_success 1 where every request of the run has a result, else 0.
# TYPE dynamo_cmp_run_success gauge
dynamo_cmp_run_success 1
`), "dynamo_cmp_requests", "dynamo_cmp_candidates", "dynamo_cmp_candidate_failures", "dynamo_cmp_gpu_used_seconds", "dynamo_cmp_gpu_budget_seconds",
		"dynamo_cmp_results", "dynamo_cmp_store_lookups", "dynamo_cmp_run_success"))
}

// A failed run keeps the time of the last success in the file, and the file is never
// half written.
func TestMetricsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.prom")
	last := func() (float64, bool) { return readGauge(file, lastSuccess) }
	failed := func() {
		m := NewMetrics("v1")
		m.End(false)
		require.NoError(t, m.Write(file))
	}
	failed()
	_, ok := last()
	require.False(t, ok)
	m := NewMetrics("v1")
	m.End(true)
	require.NoError(t, m.Write(file))
	at, ok := last()
	require.True(t, ok)
	require.InDelta(t, time.Now().Unix(), at, 60)
	failed()
	failed()
	again, _ := last()
	require.Equal(t, at, again)
	success, ok := readGauge(file, "dynamo_cmp_run_success")
	require.True(t, ok)
	require.Zero(t, success)
	files, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Error(t, m.Write(filepath.Join(file, "x")))
}

func TestMetricsPush(t *testing.T) {
	var got []string
	status := http.StatusAccepted
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), "dynamo_cmp_build_info")
		got = append(got, r.Method+" "+r.URL.Path+" "+user+":"+password)
		w.WriteHeader(status)
	}))
	defer gateway.Close()
	m := NewMetrics("v1")
	address := strings.Replace(gateway.URL, "http://", "http://robot:s3cret-canary@", 1)
	require.NoError(t, m.Push(t.Context(), address, "runner", ""))
	require.NoError(t, m.Push(t.Context(), address+"/prefix/", "runner", "3"))
	require.Equal(t, []string{"POST /metrics/job/runner robot:s3cret-canary", "POST /prefix/metrics/job/runner/completion_index/3 robot:s3cret-canary"}, got)

	status = http.StatusInternalServerError
	gateway.Config.SetKeepAlivesEnabled(false)
	for _, bad := range []string{address, "http://robot:s3cret-canary@127.0.0.1:1", "http://robot:s3cret-canary@%", "robot:s3cret-canary@x"} {
		err := m.Push(t.Context(), bad, "runner", "")
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret-canary")
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	l := NewLog(&out)
	for _, e := range night() {
		l.Take(e)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		_, rest, ok := strings.Cut(line, `"level":`) // the time is the clock's
		require.True(t, ok, line)
		lines = append(lines, rest)
	}
	require.Equal(t, `"INFO","msg":"request started","event":"request started","request":"llama","file":"apps/llama/dgdr.yaml","key":"sha256:1","strategy":"thorough"}
"INFO","msg":"lookup ended","event":"stage ended","request":"llama","file":"apps/llama/dgdr.yaml","key":"sha256:1","strategy":"thorough","stage":"lookup","outcome":"miss","duration_seconds":1}
"INFO","msg":"decode tp4 deploys","event":"progress","request":"llama","file":"apps/llama/dgdr.yaml","key":"sha256:1","strategy":"thorough"}
"INFO","msg":"decode tp4 measured","event":"candidate ended","request":"llama","file":"apps/llama/dgdr.yaml","key":"sha256:1","strategy":"thorough","candidate":"decode tp4","outcome":"measured","gpu_seconds":80,"duration_seconds":20}
"WARN","msg":"decode tp1 failed","event":"candidate ended","request":"llama","file":"apps/llama/dgdr.yaml","key":"sha256:1","strategy":"thorough","candidate":"decode tp1","outcome":"failed","reason":"out of memory","gpu_seconds":10,"error":"out of memory: pod x"}
"INFO","msg":"profile ended","event":"stage ended","request":"llama","file":"apps/llama/dgdr.yaml","key":"sha256:1","strategy":"thorough","stage":"profile","duration_seconds":49}
"INFO","msg":"profiled in 1m0s (1 of 3)","event":"request ended","request":"llama","file":"apps/llama/dgdr.yaml","key":"sha256:1","strategy":"thorough","outcome":"profiled","confidence":"measured","sla":"met","duration_seconds":60}
"INFO","msg":"request started","event":"request started","request":"qwen","file":"apps/qwen/dgdr.yaml","key":"sha256:2","strategy":"rapid"}
"INFO","msg":"request ended","event":"request ended","request":"qwen","file":"apps/qwen/dgdr.yaml","key":"sha256:2","strategy":"rapid","outcome":"hit","confidence":"simulated","sla":"missed","duration_seconds":1}
"ERROR","msg":"request ended","event":"request ended","request":"","file":"apps/broken","key":"","outcome":"refused","error":"apps/broken/dgdr.yaml:3: spec.model: is missing"}
"WARN","msg":"apps/qwen/dgdr.yaml: misses its SLA","event":"warning","request":"qwen","file":"apps/qwen/dgdr.yaml","key":"sha256:2","strategy":"rapid"}
"ERROR","msg":"1 of 3 without a result","event":"failure","request":"","file":"","key":""}
`, strings.Join(lines, ""))
}

func TestRedact(t *testing.T) {
	secrets := SecretsOf("https://robot:p%40ss-canary@git.example.com/x")
	for text, want := range map[string]string{
		"cloning https://robot:p%40ss-canary@git.example.com/x":                   "cloning https://git.example.com/x",
		"denied, see https://robot:p%40ss-can…":                                   "denied, see https://…",
		"remote: p@ss-canary is wrong":                                            "remote: *** is wrong",
		"GET https://blobs.example.com/x?X-Amz-Signature=abc123&part=1: 403":      "GET https://blobs.example.com/x?X-Amz-Signature=***&part=1: 403",
		"Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJr.c2ln":            "Authorization: Bearer ***",
		"basic authentication is not supported, sha256:0123 of a@sha256:4567 too": "basic authentication is not supported, sha256:0123 of a@sha256:4567 too",
	} {
		require.Equal(t, want, secrets.Redact(text))
	}
}

var theJob = corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Namespace: "profiling", Name: "profile-llama-0123456789", UID: "u-1"}

// events is client-go's fake of the API for Events alone.
func events(t *testing.T) (*fake.FakeEventsV1, *core.Fake) {
	t.Helper()
	api := &core.Fake{}
	api.AddReactor("*", "*", core.ObjectReaction(core.NewObjectTracker(scheme.Scheme, scheme.Codecs.UniversalDecoder())))
	return &fake.FakeEventsV1{Fake: api}, api
}

// A Job tells of what is new and what is wrong; what its pods tell twice is one Event.
func TestJobEvents(t *testing.T) {
	client, _ := events(t)
	for range 3 { // pods of the Job
		j := NewJobEvents(t.Context(), client.Events("profiling"), theJob, "pod-0")
		for _, e := range night() {
			j.Take(e)
		}
		require.NoError(t, j.Close(t.Context()))
	}
	list, err := client.Events("profiling").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	told := map[string]v1.Event{}
	for _, e := range list.Items {
		require.Equal(t, theJob, e.Regarding)
		require.EqualValues(t, 3, e.Series.Count)
		told[e.Reason] = e
	}
	require.Len(t, list.Items, 2)
	require.Equal(t, `apps/llama/dgdr.yaml: request "llama": profiled, measured, SLA met`, told["Profiled"].Note)
	require.Equal(t, corev1.EventTypeNormal, told["Profiled"].Type)
	require.Equal(t, "apps/broken/dgdr.yaml:3: spec.model: is missing", told["RequestRefused"].Note)
	require.Equal(t, corev1.EventTypeWarning, told["RequestRefused"].Type)
}

// Events are bounded in number and size, and missing rights are told once.
func TestJobEventsBounds(t *testing.T) {
	client, api := events(t)
	many := NewJobEvents(t.Context(), client.Events("profiling"), theJob, "pod-0")
	for i := range 3 * maxJobEvents {
		many.Take(Event{Kind: RequestEnded, Outcome: Failed, Request: Request{Name: strings.Repeat("x", i)}, Error: strings.Repeat("ü", 2000)})
	}
	require.NoError(t, many.Close(t.Context()))
	list, err := client.Events("profiling").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, maxJobEvents)
	for _, e := range list.Items {
		require.LessOrEqual(t, len(e.Note), 1024)
	}

	calls := 0
	api.PrependReactor("create", "events", func(core.Action) (bool, runtime.Object, error) {
		calls++
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "events.k8s.io", Resource: "events"}, "", errors.New("no rights"))
	})
	forbidden := NewJobEvents(t.Context(), client.Events("profiling"), theJob, "pod-0")
	for _, e := range night() {
		forbidden.Take(e)
	}
	require.True(t, apierrors.IsForbidden(forbidden.Close(t.Context())))
	require.Equal(t, 1, calls)
}
