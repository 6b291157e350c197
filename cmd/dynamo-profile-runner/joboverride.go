package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// jobOverride is spec.overrides.profilingJob of a DGDR.
type jobOverride struct{ spec batchv1.JobSpec }

// parseJobOverride reads the override strictly; none is an empty one.
func parseJobOverride(tree map[string]any) (*jobOverride, error) {
	o := &jobOverride{}
	data, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o.spec); err != nil {
		return nil, fmt.Errorf("is no spec of a batch/v1 Job: %w", err)
	}
	return o, nil
}

// shape merges the override into a Job as Dynamo's operator does (reference: its
// internal/controller/profiling_job_overrides.go): an allowed field replaces or joins
// what is there. It returns the paths of what is set and not taken. The override is
// used up.
func (o *jobOverride) shape(job *batchv1.JobSpec) ([]string, error) {
	from := &o.spec
	take(&job.BackoffLimit, &from.BackoffLimit)
	take(&job.ActiveDeadlineSeconds, &from.ActiveDeadlineSeconds)
	take(&job.TTLSecondsAfterFinished, &from.TTLSecondsAfterFinished)
	take(&job.Completions, &from.Completions)
	take(&job.Parallelism, &from.Parallelism)
	take(&job.Suspend, &from.Suspend)
	join(&job.Template.Labels, &from.Template.Labels)
	join(&job.Template.Annotations, &from.Template.Annotations)
	if err := shapePod(&job.Template.Spec, &from.Template.Spec); err != nil {
		return nil, err
	}
	// The operator's sidecar has no counterpart.
	containers := slices.DeleteFunc(from.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == "output-copier" })
	from.Template.Spec.Containers = containers
	shapeContainer(&job.Template.Spec.Containers[0], profilerOf(containers))
	return leaves(from)
}

func shapePod(pod, from *corev1.PodSpec) error {
	takeList(&pod.Tolerations, &from.Tolerations)
	takeMap(&pod.NodeSelector, &from.NodeSelector)
	take(&pod.Affinity, &from.Affinity)
	takeList(&pod.TopologySpreadConstraints, &from.TopologySpreadConstraints)
	takeText(&pod.PriorityClassName, &from.PriorityClassName)
	takeText(&pod.ServiceAccountName, &from.ServiceAccountName)
	take(&pod.RuntimeClassName, &from.RuntimeClassName)
	takeText(&pod.DNSPolicy, &from.DNSPolicy)
	take(&pod.DNSConfig, &from.DNSConfig)
	take(&pod.TerminationGracePeriodSeconds, &from.TerminationGracePeriodSeconds)
	take(&pod.AutomountServiceAccountToken, &from.AutomountServiceAccountToken)
	for _, secret := range from.ImagePullSecrets {
		if !slices.Contains(pod.ImagePullSecrets, secret) {
			pod.ImagePullSecrets = append(pod.ImagePullSecrets, secret)
		}
	}
	from.ImagePullSecrets = nil
	if from.SecurityContext != nil { // field by field: what is set in JSON replaces
		data, err := json.Marshal(from.SecurityContext)
		if err == nil {
			err = json.Unmarshal(data, pod.SecurityContext)
		}
		if err != nil {
			return err
		}
		from.SecurityContext = nil
	}
	byName(&pod.Volumes, &from.Volumes, func(v corev1.Volume) string { return v.Name })
	byName(&pod.InitContainers, &from.InitContainers, func(c corev1.Container) string { return c.Name })
	return nil
}

// shapeContainer leaves the image, which is Dynamo's, and the command, which is ours.
func shapeContainer(container, from *corev1.Container) {
	if from == nil {
		return
	}
	if from.Resources.Requests != nil || from.Resources.Limits != nil || from.Resources.Claims != nil {
		container.Resources, from.Resources = from.Resources, corev1.ResourceRequirements{}
	}
	take(&container.SecurityContext, &from.SecurityContext)
	byName(&container.Env, &from.Env, func(e corev1.EnvVar) string { return e.Name })
	byName(&container.VolumeMounts, &from.VolumeMounts, func(m corev1.VolumeMount) string { return m.Name })
	container.EnvFrom = append(container.EnvFrom, from.EnvFrom...)
	from.EnvFrom = nil
	from.Name = ""
}

// profilerOf is the container of an override that means the profiler: that of its
// name, else the first.
func profilerOf(containers []corev1.Container) *corev1.Container {
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == profilerContainer })
	if len(containers) == 0 {
		return nil
	}
	return &containers[max(i, 0)]
}

// take moves what is set, and leaves nothing behind.
func take[T any](to, from **T) {
	if *from != nil {
		*to, *from = *from, nil
	}
}

func takeText[T ~string](to, from *T) {
	if *from != "" {
		*to, *from = *from, ""
	}
}

func takeList[T any](to, from *[]T) {
	if *from != nil {
		*to, *from = *from, nil
	}
}

func takeMap(to, from *map[string]string) {
	if *from != nil {
		*to, *from = *from, nil
	}
}

// join adds entries; what is there already stays.
func join(to, from *map[string]string) {
	for name, value := range *from {
		if *to == nil {
			*to = map[string]string{}
		}
		if _, there := (*to)[name]; !there {
			(*to)[name] = value
		}
	}
	*from = nil
}

// byName adds items, each in the place of one of the same name.
func byName[T any](to, from *[]T, name func(T) string) {
	for _, item := range *from {
		i := slices.IndexFunc(*to, func(t T) bool { return name(t) == name(item) })
		if i < 0 {
			*to = append(*to, item)
		} else {
			(*to)[i] = item
		}
	}
	*from = nil
}
