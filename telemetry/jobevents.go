package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	v1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	client "k8s.io/client-go/kubernetes/typed/events/v1"
)

// Bounds of what a run writes as Kubernetes Events.
const (
	maxJobEvents = 100  // a run's; more would be read by nobody, and the API server keeps all
	maxNote      = 1024 // bytes, which the API server refuses more of
	eventTimeout = 10 * time.Second
)

// JobEvents writes what became of requests as Kubernetes Events on the Job that a run
// belongs to.
type JobEvents struct {
	events   client.EventInterface
	on       corev1.ObjectReference
	instance string
	queue    chan *v1.Event
	cancel   context.CancelFunc
	done     chan struct{}
	failed   error // the first, once done
	taken    int
}

// NewJobEvents writes Events on an object, whose namespace is that of the client.
// instance names the runner.
func NewJobEvents(ctx context.Context, events client.EventInterface, on corev1.ObjectReference, instance string) *JobEvents {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	j := &JobEvents{events: events, on: on, instance: instance, cancel: cancel,
		queue: make(chan *v1.Event, maxJobEvents), done: make(chan struct{})}
	go j.send(ctx)
	return j
}

// Take writes an Event of a request that ended and was no hit.
func (j *JobEvents) Take(e Event) {
	if e.Kind != RequestEnded || e.Outcome == Hit || j.taken == maxJobEvents {
		return
	}
	reason, note := reasons[e.Outcome], fmt.Sprintf("%s: request %q: %s", e.Request.File, e.Request.Name, e.Outcome)
	if e.Error != "" {
		note = e.Error
	}
	if e.Confidence != "" {
		note += fmt.Sprintf(", %s, SLA %s", e.Confidence, e.SLA)
	}
	if j.taken++; j.taken == maxJobEvents {
		reason, note = "TooMany", fmt.Sprintf("more than %d requests have something to tell; the others are in the log", maxJobEvents-1)
	}
	kind := corev1.EventTypeWarning
	if e.Outcome == Profiled {
		kind = corev1.EventTypeNormal
	}
	note = strings.ToValidUTF8(note[:min(len(note), maxNote)], "")
	// One name for what is the same in every pod of a Job: retries make a series of it.
	sum := sha256.Sum256([]byte(string(j.on.UID) + reason + e.Request.File + e.Request.Name + note))
	j.queue <- &v1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: j.on.Namespace, Name: fmt.Sprintf("%s.%s", j.on.Name, hex.EncodeToString(sum[:8]))},
		EventTime:  metav1.NewMicroTime(e.Time), ReportingController: "dynamo-cmp.github.io/profile-runner", ReportingInstance: j.instance,
		Action: "Profile", Reason: reason, Regarding: j.on, Note: note, Type: kind,
	}
}

// reasons are the outcomes as Kubernetes writes them.
var reasons = map[string]string{Profiled: "Profiled", Refused: "RequestRefused", Held: "ProfilingHeld", BudgetEnded: "BudgetEnded",
	Interrupted: "ProfilingInterrupted", Failed: "ProfilingFailed"}

// send writes one Event after the other until the first that cannot be written.
func (j *JobEvents) send(ctx context.Context) {
	defer close(j.done)
	for e := range j.queue {
		if j.failed == nil {
			j.failed = j.write(ctx, e)
		}
	}
}

// write makes an Event, or counts one up that is there. An empty patch reads it without
// the right to read Events, which are also those of others.
func (j *JobEvents) write(ctx context.Context, e *v1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	_, err := j.events.Create(ctx, e, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there, err := j.events.Patch(ctx, e.Name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	series := v1.EventSeries{Count: 2, LastObservedTime: e.EventTime}
	if there.Series != nil {
		series.Count = there.Series.Count + 1
	}
	patch, err := json.Marshal(map[string]any{"series": series})
	if err != nil {
		return err
	}
	_, err = j.events.Patch(ctx, e.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// Close waits for what is not written yet, until ctx ends, and returns why Events could
// not be written.
func (j *JobEvents) Close(ctx context.Context) error {
	close(j.queue)
	stop := context.AfterFunc(ctx, j.cancel)
	defer stop()
	<-j.done
	j.cancel()
	return j.failed
}
