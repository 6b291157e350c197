package servers

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The labels that Dynamo's operator gives to pods.
const (
	graphLabel     = "nvidia.com/dynamo-graph-deployment-name"
	componentLabel = "nvidia.com/dynamo-component"
	typeLabel      = "nvidia.com/dynamo-component-type"
)

func replicas(c component) int32 {
	if c.Replicas == nil {
		return 1
	}
	return *c.Replicas
}

// makePods makes the pods of a component, one for each node of each replica, and
// tries again when the namespace's quota refuses one.
func (g *graph) makePods(ctx context.Context, c component) {
	pods := g.core.CoreV1().Pods(g.config.Namespace)
	count := replicas(c)
	if c.Multinode != nil {
		count *= c.Multinode.NodeCount
	}
	refused := false
	for i := range count {
		pod := &corev1.Pod{ObjectMeta: *c.PodTemplate.ObjectMeta.DeepCopy(), Spec: *c.PodTemplate.Spec.DeepCopy()}
		pod.Name = fmt.Sprintf("%s-%s-%d-%.5s", g.dgd.GetName(), strings.ToLower(c.Name), i, g.dgd.GetUID())
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels[graphLabel], pod.Labels[componentLabel], pod.Labels[typeLabel] = g.dgd.GetName(), c.Name, c.Type
		g.call(ctx, func(ctx context.Context) error {
			made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) { // the answer to an earlier call was lost
				made, err = pods.Get(ctx, pod.Name, metav1.GetOptions{})
			}
			if err == nil {
				g.pods = append(g.pods, made)
			}
			if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota") && !refused {
				refused = true
				g.refuse(ctx, pod.Name, err)
			}
			return err
		})
	}
	for _, pod := range g.pods {
		if pod.Labels[componentLabel] == c.Name {
			g.setStatus(ctx, pod, waiting(pod, "ContainerCreating", ""))
		}
	}
}

// refuse says that a pod could not be made, as its controller does.
func (g *graph) refuse(ctx context.Context, pod string, refusal error) {
	now := metav1.Now()
	_, err := g.core.CoreV1().Events(g.config.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: pod + "-"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "grove.io/v1alpha1", Kind: "PodClique", Namespace: g.config.Namespace, Name: pod},
		Type:           corev1.EventTypeWarning, Reason: "FailedCreate", Message: "Error creating: " + refusal.Error(),
		FirstTimestamp: now, LastTimestamp: now, Count: 1, Source: corev1.EventSource{Component: "operator"},
	}, metav1.CreateOptions{})
	if err != nil && ctx.Err() == nil {
		g.t.Logf("operator: %s: %v", g.dgd.GetName(), err)
	}
	g.report(ctx, "pending", "some_resources_are_not_ready", "resources are not ready: "+pod)
}

// fail shows the fault in the status of the workers' pods and of the deployment,
// which has the frontend running.
func (g *graph) fail(ctx context.Context, fault Fault) {
	for _, pod := range g.pods {
		if pod.Labels[typeLabel] == "frontend" {
			g.setStatus(ctx, pod, running(pod, true))
			continue
		}
		switch fault {
		case ImagePull:
			message := fmt.Sprintf("failed to pull and unpack image %q: not found", pod.Spec.Containers[0].Image)
			g.setStatus(ctx, pod, waiting(pod, "ErrImagePull", message))
			g.setStatus(ctx, pod, waiting(pod, "ImagePullBackOff", "Back-off pulling image: "+message))
		case OutOfMemory:
			g.setStatus(ctx, pod, crashed(pod, "OOMKilled", 137))
		case CrashLoop:
			g.setStatus(ctx, pod, crashed(pod, "Error", 1))
		case Unschedulable:
			status := corev1.PodStatus{Phase: corev1.PodPending, Conditions: conditions(corev1.ConditionFalse, corev1.ConditionFalse)[:1]}
			status.Conditions[0].Reason = corev1.PodReasonUnschedulable
			status.Conditions[0].Message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
			g.setStatus(ctx, pod, status)
		default:
			g.setStatus(ctx, pod, running(pod, false))
		}
	}
	reason := "pods_not_ready"
	if fault == Unschedulable {
		reason = "insufficient_capacity"
	}
	g.report(ctx, "pending", reason, "workers are not ready: "+string(fault))
}

// setStatus does what a kubelet and the scheduler would.
func (g *graph) setStatus(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) {
	pod = pod.DeepCopy()
	pod.ResourceVersion, status.QOSClass = "", pod.Status.QOSClass
	pod.Status = status
	g.call(ctx, func(ctx context.Context) error {
		_, err := g.core.CoreV1().Pods(g.config.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
}

// report sets the deployment's status, as it is known of Dynamo 1.5.
func (g *graph) report(ctx context.Context, state, reason, message string) {
	ready := metav1.ConditionFalse
	if state == "successful" {
		ready = metav1.ConditionTrue
	}
	components := map[string]any{}
	for _, pod := range g.pods {
		name := pod.Labels[componentLabel]
		status, _ := components[name].(map[string]any)
		if status == nil {
			status = map[string]any{"componentKind": "PodClique", "componentNames": []string{g.dgd.GetName() + "-0-" + strings.ToLower(name)}, "replicas": 0}
		}
		status["replicas"] = status["replicas"].(int) + 1
		status["updatedReplicas"] = status["replicas"]
		if state == "successful" {
			status["readyReplicas"] = status["replicas"]
		}
		components[name] = status
	}
	g.call(ctx, func(ctx context.Context) error {
		return g.patch(ctx, map[string]any{"status": map[string]any{
			"state": state, "observedGeneration": g.dgd.GetGeneration(), "components": components,
			"conditions": []metav1.Condition{{
				Type: "Ready", Status: ready, Reason: reason, Message: message,
				ObservedGeneration: g.dgd.GetGeneration(), LastTransitionTime: metav1.Now(),
			}},
		}}, "status")
	})
}

// conditions are those of a pod that is scheduled or not, and ready or not.
func conditions(scheduled, ready corev1.ConditionStatus) []corev1.PodCondition {
	now := metav1.Now()
	return []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: scheduled, LastTransitionTime: now},
		{Type: corev1.PodInitialized, Status: scheduled, LastTransitionTime: now},
		{Type: corev1.ContainersReady, Status: ready, LastTransitionTime: now},
		{Type: corev1.PodReady, Status: ready, LastTransitionTime: now},
	}
}

// status is a pod's of which all containers are in one state.
func status(pod *corev1.Pod, phase corev1.PodPhase, ready bool, one corev1.ContainerStatus) corev1.PodStatus {
	isReady := corev1.ConditionFalse
	if ready {
		isReady = corev1.ConditionTrue
	}
	started := metav1.Now()
	s := corev1.PodStatus{Phase: phase, Conditions: conditions(corev1.ConditionTrue, isReady), StartTime: &started}
	for _, c := range pod.Spec.Containers {
		one.Name, one.Image, one.Ready, one.Started = c.Name, c.Image, ready, &ready
		if phase == corev1.PodRunning {
			one.ImageID = fmt.Sprintf("%s@sha256:%x", c.Image, sha256.Sum256([]byte(c.Image)))
		}
		s.ContainerStatuses = append(s.ContainerStatuses, one)
	}
	return s
}

func running(pod *corev1.Pod, ready bool) corev1.PodStatus {
	return status(pod, corev1.PodRunning, ready, corev1.ContainerStatus{
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	})
}

func waiting(pod *corev1.Pod, reason, message string) corev1.PodStatus {
	return status(pod, corev1.PodPending, false, corev1.ContainerStatus{
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	})
}

// crashed is a pod that ended three times and waits for the next attempt.
func crashed(pod *corev1.Pod, reason string, code int32) corev1.PodStatus {
	ended := metav1.Now()
	return status(pod, corev1.PodRunning, false, corev1.ContainerStatus{
		RestartCount: 3,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "CrashLoopBackOff", Message: "back-off 40s restarting failed container",
		}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: reason, ExitCode: code, StartedAt: metav1.NewTime(ended.Add(-time.Minute)), FinishedAt: ended,
		}},
	})
}
