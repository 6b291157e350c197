package telemetry

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collect is an OTLP endpoint; what it returns are the spans that it has got.
func collect(t *testing.T) func() []*tracepb.Span {
	t.Helper()
	var mu sync.Mutex
	var spans []*tracepb.Span
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, "/v1/traces", r.URL.Path)
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			body, err = gzip.NewReader(r.Body)
			require.NoError(t, err)
		}
		data, err := io.ReadAll(body)
		require.NoError(t, err)
		var got collector.ExportTraceServiceRequest
		require.NoError(t, proto.Unmarshal(data, &got))
		for _, r := range got.ResourceSpans {
			require.Equal(t, "dynamo-profile-runner", r.Resource.Attributes[0].Value.GetStringValue())
			for _, s := range r.ScopeSpans {
				spans = append(spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return func() []*tracepb.Span {
		mu.Lock()
		defer mu.Unlock()
		return spans
	}
}

// The spans of a run are a tree below the caller's.
func TestTraces(t *testing.T) {
	spans := collect(t)
	t.Setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	traces, err := NewTraces(t.Context(), "v1")
	require.NoError(t, err)
	for _, e := range night() {
		traces.Take(e)
	}
	require.NoError(t, traces.Close(t.Context(), "1 of 3 without a result"))

	names, parents := map[string]string{"\xb7\xad\x6b\x71\x69\x20\x33\x31": "TRACEPARENT"}, map[string]string{}
	label := func(s *tracepb.Span) string {
		name := s.Name
		for _, a := range s.Attributes {
			if a.Key == "candidate" || a.Key == "file" && s.Name == "request" {
				name = a.Value.GetStringValue()
			}
		}
		return name
	}
	for _, s := range spans() {
		require.Equal(t, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", string(s.TraceId))
		names[string(s.SpanId)] = label(s)
	}
	status := map[string]string{}
	for _, s := range spans() {
		parents[label(s)] = names[string(s.ParentSpanId)]
		if s.Status.GetMessage() != "" {
			status[label(s)] = s.Status.Message
		}
		if s.Name == "measure" {
			require.EqualValues(t, 1010e9, s.StartTimeUnixNano)
			require.EqualValues(t, 1020e9, s.EndTimeUnixNano)
		}
	}
	require.Equal(t, map[string]string{
		"run": "TRACEPARENT", "apps/llama/dgdr.yaml": "run", "apps/qwen/dgdr.yaml": "run", "apps/broken": "run",
		"lookup": "apps/llama/dgdr.yaml", "profile": "apps/llama/dgdr.yaml", "decode tp4": "profile", "decode tp1": "profile",
		"deploy": "decode tp4", "ready": "decode tp4", "measure": "decode tp4", "delete": "decode tp4",
	}, parents)
	require.Equal(t, map[string]string{"run": "1 of 3 without a result", "decode tp1": "out of memory: pod x",
		"apps/broken": "apps/broken/dgdr.yaml:3: spec.model: is missing"}, status)
}

// Without an endpoint there are no traces; one that does not answer is an error in the end.
func TestTracesEndpoint(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	traces, err := NewTraces(t.Context(), "v1")
	require.NoError(t, err)
	require.Nil(t, traces)
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", gone.URL)
	traces, err = NewTraces(t.Context(), "v1")
	require.NoError(t, err)
	require.ErrorContains(t, traces.Close(t.Context(), ""), "404")
}
