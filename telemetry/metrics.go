package telemetry

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics counts the events of one run. A run is short, so all are gauges of that run,
// but for the durations.
type Metrics struct {
	registry  *prometheus.Registry
	started   time.Time
	succeeded bool

	requests, lookups, results       *prometheus.GaugeVec
	candidates, failures             *prometheus.GaugeVec
	gpuSeconds, budget               *prometheus.GaugeVec
	stages, phases                   *prometheus.HistogramVec
	duration, success, lastSucceeded prometheus.Gauge
}

// lastSuccess is the metric that outlives the failed runs after it.
const lastSuccess = "dynamo_cmp_run_last_success_timestamp_seconds"

// seconds are the buckets of durations: from a lookup to a night.
var seconds = []float64{0.1, 1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600}

// NewMetrics counts a run of that version of the runner, which starts now.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), started: time.Now()}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "dynamo_cmp_" + name, Help: help}, labels)
		m.registry.MustRegister(g)
		return g
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "dynamo_cmp_" + name, Help: help, Buckets: seconds}, labels)
		m.registry.MustRegister(h)
		return h
	}
	m.requests = gauges("requests", "Requests of the run, by what became of them.", "outcome")
	m.lookups = gauges("store_lookups", "Lookups of results in the store: hit, miss or failed.", "result")
	m.results = gauges("results", "Results of the run, by confidence and by whether the SLA is met, missed or unverified.", "confidence", "sla")
	m.candidates = gauges("candidates", "Candidates of searchStrategy thorough: measured, failed, skipped, interrupted, or recalled from an earlier run.", "outcome")
	m.failures = gauges("candidate_failures", "Candidates that failed, by the class of the failure.", "reason")
	m.gpuSeconds = gauges("gpu_used_seconds", "GPU time of a request's candidates, earlier runs on the same key included.", "request", "file")
	m.budget = gauges("gpu_budget_seconds", "GPU time that a request's candidates may take, where there is a limit.", "request", "file")
	m.stages = histogram("stage_duration_seconds", "Time of the stages of a run: lookup, profile, push, lock, git push.", "stage", "strategy")
	m.phases = histogram("candidate_phase_duration_seconds", "Time of the phases of a candidate: deploy, ready, measure, delete.", "phase")
	m.duration = gauges("run_duration_seconds", "Time that the run took.").WithLabelValues()
	m.success = gauges("run_success", "1 where every request of the run has a result, else 0.").WithLabelValues()
	m.lastSucceeded = prometheus.NewGauge(prometheus.GaugeOpts{Name: lastSuccess, Help: "When a run last gave every request a result, in Unix time."})
	gauges("build_info", "1, with the version of the runner and of Go.", "version", "goversion").WithLabelValues(version, runtime.Version()).Set(1)
	for _, outcome := range []string{Hit, Profiled, Refused, Held, BudgetEnded, Interrupted, Failed} {
		m.requests.WithLabelValues(outcome).Set(0) // an alert needs the zero
	}
	return m
}

// Take counts an event.
func (m *Metrics) Take(e Event) {
	switch e.Kind {
	case RequestStarted:
		if e.BudgetGPUSeconds > 0 {
			m.budget.WithLabelValues(e.Request.Name, e.Request.File).Set(e.BudgetGPUSeconds)
		}
	case RequestEnded:
		m.requests.WithLabelValues(e.Outcome).Inc()
		if e.Confidence != "" {
			m.results.WithLabelValues(e.Confidence, e.SLA).Inc()
		}
	case StageEnded:
		m.stages.WithLabelValues(e.Stage, e.Request.Strategy).Observe(e.Took.Seconds())
		if e.Stage == Lookup {
			m.lookups.WithLabelValues(e.Outcome).Inc()
		}
	case CandidateEnded:
		c := e.Candidate
		m.candidates.WithLabelValues(c.Outcome).Inc()
		if c.Reason != "" {
			m.failures.WithLabelValues(c.Reason).Inc()
		}
		if c.GPUSeconds > 0 {
			m.gpuSeconds.WithLabelValues(e.Request.Name, e.Request.File).Add(c.GPUSeconds)
		}
		for _, p := range c.Phases {
			m.phases.WithLabelValues(p.Name).Observe(p.End.Sub(p.Start).Seconds())
		}
	}
}

// End notes how the run ended.
func (m *Metrics) End(succeeded bool) {
	m.duration.Set(time.Since(m.started).Seconds())
	if !succeeded {
		return
	}
	m.succeeded = true
	m.success.Set(1)
	m.lastSucceeded.SetToCurrentTime()
	m.registry.MustRegister(m.lastSucceeded)
}

// Write writes the metrics for the textfile collector of node_exporter, whole or not at
// all. The time of the last success is kept from the file's older text.
func (m *Metrics) Write(file string) error {
	all := prometheus.Gatherers{m.registry}
	if before, ok := readGauge(file, lastSuccess); ok && !m.succeeded {
		older := prometheus.NewRegistry()
		older.MustRegister(m.lastSucceeded)
		m.lastSucceeded.Set(before)
		all = append(all, older)
	}
	return prometheus.WriteToTextfile(file, all)
}

func readGauge(file, name string) (float64, bool) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(f, 1<<20))
	if err != nil || families[name] == nil || len(families[name].GetMetric()) != 1 {
		return 0, false
	}
	return families[name].GetMetric()[0].GetGauge().GetValue(), true
}

// Push replaces the metrics of a job's group in a Pushgateway, and leaves there those
// that this run does not have: the last success. index is the completion index of a
// shard, or empty. Credentials are those of the URL.
func (m *Metrics) Push(ctx context.Context, address, job, index string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return errors.New("the address is no URL") // nothing of it: there may be a password
	}
	user := u.User
	u.User = nil
	p := push.New(u.String(), job).Gatherer(m.registry)
	if index != "" {
		p = p.Grouping("completion_index", index)
	}
	if user != nil {
		password, _ := user.Password()
		p = p.BasicAuth(user.Username(), password)
	}
	return p.AddContext(ctx)
}
