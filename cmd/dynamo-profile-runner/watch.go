package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	events "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

// The labels of a Job's pod that say which Job it is of, as the environment has them
// where the Job's author has put them there.
const (
	jobNameVariable = "JOB_NAME"
	jobUIDVariable  = "JOB_UID"
)

// afterwards is how long a run that is over waits for those who listen.
const afterwards = 10 * time.Second

// watchOptions say where the metrics of a run go.
type watchOptions struct {
	file string
	push string // URL, which may hold a password
}

func (o *watchOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.file, "metrics-file", "", "file that gets the metrics of the run, for the textfile collector of node_exporter: NAME.prom")
	flags.StringVar(&o.push, "metrics-push", "", "URL of a Pushgateway that gets the metrics of the run")
}

// watchers listen to a run besides its log. Each is nil where nobody asked for it; what
// fails is a warning.
type watchers struct {
	progress  *progress
	metrics   *telemetry.Metrics
	traces    *telemetry.Traces
	jobEvents *telemetry.JobEvents
}

// watch adds to a run's progress who listens.
func (o runOptions) watch(ctx context.Context, p *progress) *watchers {
	p.secrets = append(p.secrets, append(telemetry.SecretsOf(o.remote.repo), telemetry.SecretsOf(o.listeners.push)...)...)
	w := &watchers{progress: p}
	if o.dryRun {
		return w
	}
	if o.listeners != (watchOptions{}) {
		w.metrics = telemetry.NewMetrics(version())
		p.listen(w.metrics)
	}
	var err error
	if w.traces, err = telemetry.NewTraces(ctx, version()); err != nil {
		w.warn("tracing", err)
	} else if w.traces != nil {
		p.listen(w.traces)
	}
	if w.jobEvents, err = newJobEvents(ctx, os.Getenv(jobNameVariable), os.Getenv(jobUIDVariable)); err != nil {
		w.warn("writing Events", err)
	} else if w.jobEvents != nil {
		p.listen(w.jobEvents)
	}
	return w
}

// newJobEvents writes Events on the Job that this pod is of; nil where it is of none.
func newJobEvents(ctx context.Context, name, uid string) (*telemetry.JobEvents, error) {
	if name == "" || uid == "" {
		return nil, nil
	}
	config, namespace, err := clusterConfig("", "")
	if err != nil {
		return nil, err
	}
	client, err := events.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	on := corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Namespace: namespace, Name: name, UID: types.UID(uid)}
	return telemetry.NewJobEvents(ctx, client.Events(namespace), on, host), nil
}

// end tells those who listen how the run ended.
func (w *watchers) end(ctx context.Context, o runOptions, failure error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if w.metrics != nil {
		w.metrics.End(failure == nil)
	}
	if o.listeners.file != "" && w.metrics != nil {
		w.warn("writing metrics", w.metrics.Write(o.listeners.file))
	}
	if w.jobEvents != nil {
		w.warn("writing Events on the Job", w.jobEvents.Close(ctx))
	}
	if w.traces != nil {
		text := ""
		if failure != nil {
			text = w.progress.secrets.Redact(failure.Error())
		}
		w.warn("exporting traces", w.traces.Close(ctx, text))
	}
	if o.listeners.push != "" && w.metrics != nil {
		job, index := "dynamo-profile-runner", ""
		if o.strategy != "" {
			job += "-" + o.strategy // another CronJob's run replaces nothing of this one
		}
		if part, err := parseShard(o.shard, os.Getenv); err == nil && o.shard != "" {
			index = strconv.Itoa(part.index)
		}
		w.warn("pushing metrics", w.metrics.Push(ctx, o.listeners.push, job, index))
	}
	w.progress.close()
}

func (w *watchers) warn(what string, err error) {
	if err != nil {
		w.progress.warn(telemetry.Request{}, fmt.Sprintf("%s: %s; the results are not affected", what, err))
	}
}
