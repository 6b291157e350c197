package telemetry

import (
	"context"
	"io"
	"log/slog"
)

// Log writes events as lines of JSON.
type Log struct{ lines slog.Handler }

// NewLog writes to w, a line at a time.
func NewLog(w io.Writer) *Log {
	return &Log{slog.NewJSONHandler(w, nil)}
}

// Take writes a line. What starts is told by what follows, and the error of a request by
// its end.
func (l *Log) Take(e Event) {
	if e.Kind == StageStarted || e.Kind == Failure && e.Request != (Request{}) {
		return
	}
	attrs := []slog.Attr{
		slog.String("event", string(e.Kind)), slog.String("request", e.Request.Name),
		slog.String("file", e.Request.File), slog.String("key", e.Request.Key),
	}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	add("strategy", e.Request.Strategy)
	add("stage", e.Stage)
	add("outcome", e.Outcome)
	add("confidence", e.Confidence)
	add("sla", e.SLA)
	if c := e.Candidate; c != nil {
		add("candidate", c.Name)
		add("outcome", c.Outcome)
		add("reason", c.Reason)
		attrs = append(attrs, slog.Float64("gpu_seconds", c.GPUSeconds))
	}
	if e.Took > 0 {
		attrs = append(attrs, slog.Float64("duration_seconds", e.Took.Seconds()))
	}
	add("error", e.Error)
	line := slog.NewRecord(e.Time, level(e), message(e), 0)
	line.AddAttrs(attrs...)
	_ = l.lines.Handle(context.Background(), line) // stderr is gone: nobody is left to tell
}

func message(e Event) string {
	switch {
	case e.Text != "":
		return e.Text
	case e.Stage != "":
		return e.Stage + " ended"
	case e.Candidate != nil:
		return e.Candidate.Name + " " + e.Candidate.Outcome
	}
	return string(e.Kind)
}

func level(e Event) slog.Level {
	switch {
	case e.Kind == Failure, e.Outcome == Failed, e.Outcome == Refused:
		return slog.LevelError
	case e.Kind == Warning, e.Outcome == BudgetEnded, e.Outcome == Interrupted, e.Outcome == Held, e.Candidate != nil && e.Candidate.Outcome == Failed:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
