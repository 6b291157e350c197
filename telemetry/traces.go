package telemetry

import (
	"context"
	"errors"
	"os"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// Traces makes spans of events and exports them by OTLP over HTTP.
type Traces struct {
	provider *trace.TracerProvider
	tracer   api.Tracer
	root     context.Context
	failed   chan error // the first

	open map[spanKey]context.Context
}

// spanKey names a span that has not ended: the stage of a request, or the request.
type spanKey struct {
	request Request
	stage   string
}

// NewTraces starts the span of a run, as child of TRACEPARENT where that is set. It is
// nil where the environment names no endpoint. Settings are the OTEL_* variables of
// OpenTelemetry.
func NewTraces(ctx context.Context, version string) (*Traces, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil
	}
	t := &Traces{failed: make(chan error, 1), open: map[spanKey]context.Context{}}
	// The library keeps both in process globals, and would print to stderr.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		select {
		case t.failed <- err:
		default:
		}
	}))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	of, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "dynamo-profile-runner"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	t.provider = trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(of))
	t.tracer = t.provider.Tracer("github.com/dynamo-cmp/dynamo-cmp")
	parent := propagation.TraceContext{}.Extract(context.WithoutCancel(ctx),
		propagation.MapCarrier{"traceparent": os.Getenv("TRACEPARENT"), "tracestate": os.Getenv("TRACESTATE")})
	t.root, _ = t.tracer.Start(parent, "run")
	return t, nil
}

// Take starts or ends the span of an event.
func (t *Traces) Take(e Event) {
	switch e.Kind {
	case RequestStarted:
		t.start(e, "request", t.root)
	case StageStarted:
		t.start(e, e.Stage, t.of(spanKey{request: e.Request}))
	case RequestEnded, StageEnded:
		t.end(e)
	case CandidateEnded:
		t.candidate(e)
	}
}

// of is the context of an open span, or that of the run.
func (t *Traces) of(keys ...spanKey) context.Context {
	for _, key := range keys {
		if ctx, ok := t.open[key]; ok {
			return ctx
		}
	}
	return t.root
}

func (t *Traces) start(e Event, name string, parent context.Context) {
	t.open[spanKey{e.Request, e.Stage}], _ = t.tracer.Start(parent, name, api.WithTimestamp(e.Time), api.WithAttributes(attributes(e)...))
}

func (t *Traces) end(e Event) {
	key := spanKey{e.Request, e.Stage}
	ctx, ok := t.open[key]
	if !ok { // a request that was not started
		t.start(e, "request", t.root)
		ctx = t.open[key]
	}
	delete(t.open, key)
	span := api.SpanFromContext(ctx)
	span.SetAttributes(attributes(e)...)
	if e.Error != "" {
		span.SetStatus(codes.Error, e.Error)
	}
	span.End(api.WithTimestamp(e.Time))
}

// candidate makes the spans of a candidate and of its phases, which are over.
func (t *Traces) candidate(e Event) {
	c := e.Candidate
	begin, end := e.Time, e.Time
	if len(c.Phases) > 0 {
		begin, end = c.Phases[0].Start, c.Phases[len(c.Phases)-1].End
	}
	ctx, span := t.tracer.Start(t.of(spanKey{e.Request, "profile"}, spanKey{request: e.Request}), "candidate", api.WithTimestamp(begin), api.WithAttributes(
		append(attributes(e), attribute.String("candidate", c.Name), attribute.String("outcome", c.Outcome),
			attribute.String("reason", c.Reason), attribute.Float64("gpu_seconds", c.GPUSeconds))...))
	for _, p := range c.Phases {
		_, phase := t.tracer.Start(ctx, p.Name, api.WithTimestamp(p.Start))
		phase.End(api.WithTimestamp(p.End))
	}
	if e.Error != "" {
		span.SetStatus(codes.Error, e.Error)
	}
	span.End(api.WithTimestamp(end))
}

func attributes(e Event) []attribute.KeyValue {
	var all []attribute.KeyValue
	for _, a := range []struct{ name, value string }{
		{"request", e.Request.Name}, {"file", e.Request.File}, {"key", e.Request.Key}, {"strategy", e.Request.Strategy},
		{"outcome", e.Outcome}, {"confidence", e.Confidence},
	} {
		if a.value != "" {
			all = append(all, attribute.String(a.name, a.value))
		}
	}
	return all
}

// Close ends the span of the run, with the error that it ended with or nothing, and
// exports what is not exported yet, until ctx ends.
func (t *Traces) Close(ctx context.Context, failure string) error {
	span := api.SpanFromContext(t.root)
	if failure != "" {
		span.SetStatus(codes.Error, failure)
	}
	span.End()
	err := t.provider.Shutdown(ctx)
	select {
	case first := <-t.failed:
		err = errors.Join(first, err)
	default:
	}
	return err
}
