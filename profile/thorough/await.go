package thorough

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Timeouts bound what a candidate may take.
type Timeouts struct {
	Schedule time.Duration // until all its pods have nodes
	Ready    time.Duration // from there until it serves
}

// settle is how long what may pass by itself has to last to be a fault: a registry
// that does not answer, a secret that is not there yet.
func (t Timeouts) settle() time.Duration {
	return t.Ready / 30
}

// waiting is one candidate on its way to being ready.
type waiting struct {
	cluster   *Cluster
	created   *unstructured.Unstructured
	timeouts  Timeouts
	say       func(string)
	pods      int // that the candidate has when all are there
	start     time.Time
	scheduled time.Time // zero until then
	troubled  time.Time // since when the trouble is of the same class
	class     FailureClass
	said      string
}

// ready returns the candidate's pods when all serve. The error is a Failure where
// the candidate does not.
func (c *Cluster) ready(ctx context.Context, created *unstructured.Unstructured, timeouts Timeouts, say func(string)) ([]*corev1.Pod, error) {
	w := &waiting{cluster: c, created: created, timeouts: timeouts, say: say, pods: podsOf(created), start: time.Now()}
	for {
		changed := c.view.changed()
		pods, left, err := w.look(ctx, time.Now())
		if pods != nil || err != nil {
			return pods, err
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
			w.forgive(ctx)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		timer.Stop()
		if err != nil {
			return nil, err
		}
	}
}

// look judges what is known now: the pods of a ready candidate, a Failure, or how
// long it may stay as it is.
func (w *waiting) look(ctx context.Context, now time.Time) ([]*corev1.Pod, time.Duration, error) {
	c, name := w.cluster, w.created.GetName()
	dgd, pods := c.view.deployment(c.namespace, name), c.view.podsOf(c.namespace, name)
	if dgd != nil && dgd.GetUID() == w.created.GetUID() && isReady(dgd) && len(pods) >= w.pods && !slices.ContainsFunc(pods, podUnready) {
		return pods, 0, nil
	}
	if dgd == nil || dgd.GetUID() != w.created.GetUID() || dgd.GetDeletionTimestamp() != nil {
		// The view may be behind the creation.
		have, err := c.get(ctx, name)
		if apierrors.IsNotFound(err) || err == nil && (have.GetUID() != w.created.GetUID() || have.GetDeletionTimestamp() != nil) {
			return nil, 0, &Failure{Class: FailedInterrupted, Message: "its DynamoGraphDeployment was deleted by somebody else"}
		}
		return nil, time.Second, err
	}
	var worst *trouble
	at := ""
	for _, pod := range pods {
		if t := troubleOf(pod); t != nil && (worst == nil || t.lasting && !worst.lasting) {
			worst, at = t, pod.Name
		}
	}
	if worst == nil && len(pods) < w.pods {
		worst = refusalOf(c.view.refused(c.namespace, name))
	}
	if worst != nil && worst.lasting {
		return nil, 0, w.fail(ctx, worst, at)
	}
	return w.bounds(ctx, now, dgd, pods, worst, at)
}

// bounds holds what may still pass against its time.
func (w *waiting) bounds(ctx context.Context, now time.Time, dgd *unstructured.Unstructured, pods []*corev1.Pod, t *trouble, at string) ([]*corev1.Pod, time.Duration, error) {
	class, message := FailureClass(""), "waits for its pods: "+reasonOf(dgd)
	if t != nil {
		class, message = t.Class, t.Error()
	}
	if class != w.class {
		w.class, w.troubled = class, now
	}
	switch placed := len(pods) >= w.pods && !slices.ContainsFunc(pods, podUnscheduled); {
	case !placed:
		w.scheduled = time.Time{}
	case w.scheduled.IsZero():
		w.scheduled = now
	}
	if message != w.said {
		w.say(message)
		w.said = message
	}
	var end time.Time
	switch {
	case class == FailedImagePull || class == FailedConfig:
		end = w.troubled.Add(w.timeouts.settle())
	case w.scheduled.IsZero():
		end = w.start.Add(w.timeouts.Schedule)
		if t == nil {
			t = &trouble{Failure: Failure{Class: FailedCapacity, Message: "no nodes for its pods: " + reasonOf(dgd)}}
		}
	default:
		end = w.scheduled.Add(w.timeouts.Ready)
		t = &trouble{Failure: Failure{Class: FailedReady, Message: fmt.Sprintf("not ready %s after its pods had nodes: %s", w.timeouts.Ready, reasonOf(dgd))}}
		if i := slices.IndexFunc(pods, podUnready); i >= 0 {
			t.container, at = mainContainer, pods[i].Name
		}
	}
	if now.Before(end) {
		return nil, end.Sub(now), nil
	}
	return nil, 0, w.fail(ctx, t, at)
}

// fail adds the end of the log that belongs to the trouble, which may tell more.
func (w *waiting) fail(ctx context.Context, t *trouble, pod string) *Failure {
	f := t.Failure
	if t.container != "" && (f.Class == FailedCrash || f.Class == FailedReady || f.Class == FailedOutOfMemory) {
		f.Log = w.cluster.tail(ctx, pod, t.container, t.previous)
	}
	if f.Class == FailedCrash && tellsOutOfMemory(f.Log) {
		f.Class = FailedOutOfMemory
	}
	return &f
}

// forgive asks the API server for a sign of life before time has run out: while it is
// away, nothing is known, and nothing is the candidate's fault.
func (w *waiting) forgive(ctx context.Context) {
	asked := time.Now()
	_, _ = w.cluster.get(ctx, w.created.GetName())
	away := time.Since(asked)
	if away < 2*time.Second {
		return
	}
	away += 5 * time.Second // for the view to catch up
	w.start = w.start.Add(away)
	for _, t := range []*time.Time{&w.scheduled, &w.troubled} {
		if !t.IsZero() {
			*t = t.Add(away)
		}
	}
}

// mainContainer is the container of an engine, which Dynamo's webhook asks for.
const mainContainer = "main"

// isReady reports whether the operator says that all of the latest spec serves.
func isReady(dgd *unstructured.Unstructured) bool {
	observed, _, _ := unstructured.NestedInt64(dgd.Object, "status", "observedGeneration")
	state, _, _ := unstructured.NestedString(dgd.Object, "status", "state")
	return observed >= dgd.GetGeneration() && state == "successful" && readyCondition(dgd)["status"] == "True"
}

func readyCondition(dgd *unstructured.Unstructured) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(dgd.Object, "status", "conditions")
	for _, item := range conditions {
		if c, ok := item.(map[string]any); ok && c["type"] == "Ready" {
			return c
		}
	}
	return nil
}

// reasonOf is the operator's word on why a DGD is not ready.
func reasonOf(dgd *unstructured.Unstructured) string {
	c := readyCondition(dgd)
	reason, _ := c["reason"].(string)
	message, _ := c["message"].(string)
	switch {
	case reason == "" && message == "":
		return "Dynamo's operator has said nothing"
	case message == "":
		return reason
	}
	return reason + ": " + message
}

// podsOf is how many pods a DGD has: one for each node of each replica of a component.
func podsOf(dgd *unstructured.Unstructured) int {
	components, _, _ := unstructured.NestedSlice(dgd.Object, "spec", "components")
	pods := 0
	for _, item := range components {
		component, _ := item.(map[string]any)
		replicas, found, _ := unstructured.NestedInt64(component, "replicas")
		if !found {
			replicas = 1
		}
		nodes, found, _ := unstructured.NestedInt64(component, "multinode", "nodeCount")
		if !found {
			nodes = 1
		}
		pods += int(replicas * nodes)
	}
	return pods
}

func podUnscheduled(pod *corev1.Pod) bool {
	return !hasCondition(pod, corev1.PodScheduled)
}

func podUnready(pod *corev1.Pod) bool {
	return !hasCondition(pod, corev1.PodReady)
}
