package thorough

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// FailureClass says what kept a candidate from being measured.
type FailureClass string

const (
	// FailedImagePull and FailedConfig are faults that every candidate shares: a
	// container that cannot be made.
	FailedImagePull FailureClass = "image pull"
	FailedConfig    FailureClass = "configuration"
	// FailedOutOfMemory, FailedCrash and FailedRejected are the candidate's own.
	FailedOutOfMemory FailureClass = "out of memory"
	FailedCrash       FailureClass = "crash"
	FailedRejected    FailureClass = "rejected" // by the API server or Dynamo's webhook
	// The rest may go otherwise another time.
	FailedCapacity    FailureClass = "no capacity"
	FailedQuota       FailureClass = "quota"
	FailedReady       FailureClass = "never ready"
	FailedServing     FailureClass = "not serving"
	FailedInterrupted FailureClass = "interrupted" // evicted, or deleted by somebody else
	FailedMeasuring   FailureClass = "measuring"
)

// Failure is why a candidate has no measurement.
type Failure struct {
	Class   FailureClass `json:"class"`
	Message string       `json:"message"`
	Log     string       `json:"log,omitempty"` // the end of the container's log
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s: %s", f.Class, f.Message)
}

// common reports whether the other candidates would fail alike.
func (f *Failure) common() bool {
	return f.Class == FailedImagePull || f.Class == FailedConfig
}

// final reports whether another attempt would end alike.
func (f *Failure) final() bool {
	return slices.Contains([]FailureClass{FailedOutOfMemory, FailedCrash, FailedRejected}, f.Class)
}

// outOfMemory are the words of engines whose GPU memory does not do.
var outOfMemory = []string{
	"CUDA out of memory", "HIP out of memory", "OutOfMemoryError", "No available memory for the cache blocks",
	"Not enough memory. Please try to increase --mem-fraction-static",
}

// tellsOutOfMemory reports whether a log says that memory was short.
func tellsOutOfMemory(log string) bool {
	return slices.ContainsFunc(outOfMemory, func(words string) bool { return strings.Contains(log, words) })
}

// Reasons of waiting containers, as the kubelet gives them (pkg/kubelet/images and
// pkg/kubelet/kuberuntime).
var (
	pullReasons   = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "SignatureValidationFailed"}
	configReasons = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)

// maxRestarts is how often a container may die before its candidate has failed: one
// death may be the node's.
const maxRestarts = 2

// trouble is what a pod shows that may keep it from serving.
type trouble struct {
	Failure
	container string
	lasting   bool // a fault at once; else only if it stays
	previous  bool // the log to read is that of the container before the restart
}

// troubleOf finds the worst that a pod shows, or nil.
func troubleOf(pod *corev1.Pod) *trouble {
	if pod.Status.Phase == corev1.PodFailed && (pod.Status.Reason == "Evicted" || pod.Status.Reason == "NodeLost") {
		return &trouble{Failure: Failure{Class: FailedInterrupted, Message: podMessage(pod, pod.Status.Reason, pod.Status.Message)}, lasting: true}
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if t := troubleOfContainer(pod, status); t != nil {
			return t
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return &trouble{Failure: Failure{Class: FailedCapacity, Message: podMessage(pod, c.Reason, c.Message)}}
		}
	}
	return nil
}

func troubleOfContainer(pod *corev1.Pod, status corev1.ContainerStatus) *trouble {
	t := &trouble{container: status.Name}
	dead := status.State.Terminated
	if dead == nil {
		dead, t.previous = status.LastTerminationState.Terminated, true
	}
	waiting := status.State.Waiting
	switch {
	case dead != nil && dead.ExitCode != 0 && (dead.Reason == "OOMKilled" || dead.ExitCode == 137):
		t.Class, t.lasting = FailedOutOfMemory, true
		t.Message = podMessage(pod, dead.Reason, fmt.Sprintf("container %s exited with %d", status.Name, dead.ExitCode))
	case dead != nil && dead.ExitCode != 0 && (status.RestartCount >= maxRestarts || waiting != nil && waiting.Reason == "CrashLoopBackOff"):
		t.Class, t.lasting = FailedCrash, true
		t.Message = podMessage(pod, dead.Reason, fmt.Sprintf("container %s exited with %d, %d times", status.Name, dead.ExitCode, max(status.RestartCount, 1)))
	case waiting == nil:
		return nil
	case waiting.Reason == "InvalidImageName":
		t.Class, t.lasting, t.Message = FailedImagePull, true, podMessage(pod, waiting.Reason, waiting.Message)
	case slices.Contains(pullReasons, waiting.Reason):
		t.Class, t.Message = FailedImagePull, podMessage(pod, waiting.Reason, waiting.Message)
	case slices.Contains(configReasons, waiting.Reason):
		t.Class, t.Message = FailedConfig, podMessage(pod, waiting.Reason, waiting.Message)
	default:
		return nil
	}
	return t
}

// refusalOf is the trouble of a pod that could not be made, by the message of its
// event; nil for none. Quotas change; other rules of admission hold for all candidates.
func refusalOf(message string) *trouble {
	switch {
	case message == "":
		return nil
	case strings.Contains(message, "exceeded quota"):
		return &trouble{Failure: Failure{Class: FailedQuota, Message: message}}
	}
	return &trouble{Failure: Failure{Class: FailedConfig, Message: message}}
}

func podMessage(pod *corev1.Pod, reason, message string) string {
	text := "pod " + pod.Name
	if reason != "" {
		text += ": " + reason
	}
	if message != "" {
		text += ": " + strings.TrimSpace(message)
	}
	return text
}

func hasCondition(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}
