package thorough

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

var deployments = schema.GroupVersionResource{Group: "nvidia.com", Version: "v1beta1", Resource: "dynamographdeployments"}

// What a runner writes on the DGD of a candidate.
const (
	// runLabel names the key, cut to what a label holds, by which a runner finds what
	// another left.
	runLabel = "dynamo-cmp.github.io/profiling-key"
	// specAnnotation is the digest of the spec: a DGD that has another cannot be
	// measured in the candidate's place.
	specAnnotation = "dynamo-cmp.github.io/spec"
	// expiryAnnotation is when the runner will be over; any runner may delete the DGD
	// after that (RFC 3339).
	expiryAnnotation = "dynamo-cmp.github.io/expires"
)

// graphLabel is on every pod of a DGD, by Dynamo's operator.
const graphLabel = "nvidia.com/dynamo-graph-deployment-name"

// Cluster is a namespace of a Kubernetes cluster with Dynamo's operator, where
// candidates run.
type Cluster struct {
	core      kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
	owner     *metav1.OwnerReference
	view      *view
}

// NewCluster reaches the cluster of a configuration and watches the namespace until
// Close. pod is the runner's own, or empty where it is none: when the pod's Job goes,
// Kubernetes deletes what the runner left.
func NewCluster(ctx context.Context, config *rest.Config, namespace, pod string) (*Cluster, error) {
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	c := &Cluster{core: core, dynamic: dyn, namespace: namespace}
	if c.owner, err = c.ownerOf(ctx, pod); err != nil {
		return nil, err
	}
	if c.view, err = c.watch(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// ownerOf is what candidates belong to: the controller of the runner's pod, or the pod
// itself; nil where there is no such pod in the namespace, as owners have to be.
func (c *Cluster) ownerOf(ctx context.Context, pod string) (owner *metav1.OwnerReference, err error) {
	if pod == "" {
		return nil, nil
	}
	err = persist(ctx, func(ctx context.Context) error {
		self, err := c.core.CoreV1().Pods(c.namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		owner = &metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: self.Name, UID: self.UID}
		if c := metav1.GetControllerOf(self); c != nil {
			owner = &metav1.OwnerReference{APIVersion: c.APIVersion, Kind: c.Kind, Name: c.Name, UID: c.UID}
		}
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("finding the runner's own pod: %w", err)
	}
	return owner, nil
}

// Close ends the watches. It deletes nothing.
func (c *Cluster) Close() {
	c.view.stop()
}

// How long one answer of the API server may take, how often an operation is tried, and
// for how long: servers are replaced in less.
const (
	callTimeout = 30 * time.Second
	retryEvery  = 2 * time.Second
	retryFor    = 5 * time.Minute
)

// persist runs an idempotent operation until the API server has considered it.
func persist(ctx context.Context, operation func(ctx context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, retryEvery, retryFor, true, func(ctx context.Context) (bool, error) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		last = operation(call)
		if last != nil && transient(last) {
			return false, nil
		}
		return true, last
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case wait.Interrupted(err):
		return last
	}
	return err
}

// transient reports whether an error may pass: anything that is not a considered
// answer of the API server.
func transient(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnauthorized(err)
}

// keyLabel is a key as the value of a label.
func keyLabel(key profile.Key) string {
	return strings.TrimPrefix(string(key), "sha256:")[:40]
}

// prepare makes a rendered DGD that of a candidate.
func (c *Cluster) prepare(dgd map[string]any, key profile.Key, expires time.Time) (*unstructured.Unstructured, error) {
	spec, err := json.Marshal(dgd["spec"])
	if err != nil {
		return nil, fmt.Errorf("encoding the spec of a candidate: %w", err)
	}
	sum := sha256.Sum256(spec)
	obj := (&unstructured.Unstructured{Object: dgd}).DeepCopy()
	obj.SetNamespace(c.namespace)
	labels := obj.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels["app.kubernetes.io/managed-by"] = manager
	labels[runLabel] = keyLabel(key)
	obj.SetLabels(labels)
	obj.SetAnnotations(map[string]string{
		specAnnotation:   hex.EncodeToString(sum[:]),
		expiryAnnotation: expires.UTC().Format(time.RFC3339),
	})
	if c.owner != nil {
		obj.SetOwnerReferences([]metav1.OwnerReference{*c.owner})
	}
	return obj, nil
}

// manager is the value of the label by which runners know their own.
const manager = "dynamo-profile-runner"

// create creates a candidate's DGD, or takes the equal one that a killed runner left.
// One that is being deleted, or has another spec, has to go first. The error is a
// Failure where the API server refuses the candidate.
func (c *Cluster) create(ctx context.Context, obj *unstructured.Unstructured) (created *unstructured.Unstructured, err error) {
	client := c.dynamic.Resource(deployments).Namespace(c.namespace)
	err = persist(ctx, func(ctx context.Context) error {
		created, err = client.Create(ctx, obj, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, FieldManager: manager})
		return err
	})
	switch {
	case apierrors.IsAlreadyExists(err):
		return c.adopt(ctx, obj)
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return nil, &Failure{Class: FailedQuota, Message: err.Error()}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return nil, &Failure{Class: FailedRejected, Message: err.Error()}
	case err != nil:
		return nil, fmt.Errorf("creating DynamoGraphDeployment %s: %w", obj.GetName(), err)
	}
	return created, nil
}

func (c *Cluster) adopt(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	have, err := c.get(ctx, obj.GetName())
	if apierrors.IsNotFound(err) {
		return c.create(ctx, obj)
	}
	if err != nil {
		return nil, err
	}
	if have.GetLabels()[runLabel] != obj.GetLabels()[runLabel] {
		return nil, fmt.Errorf("DynamoGraphDeployment %s/%s is there and not of this run; to go on: kubectl delete dynamographdeployment -n %[1]s %[2]s", c.namespace, have.GetName())
	}
	if have.GetDeletionTimestamp() == nil && have.GetAnnotations()[specAnnotation] == obj.GetAnnotations()[specAnnotation] {
		return have, nil
	}
	if err := c.remove(ctx, have, true); err != nil {
		return nil, err
	}
	return c.create(ctx, obj)
}

func (c *Cluster) get(ctx context.Context, name string) (obj *unstructured.Unstructured, err error) {
	err = persist(ctx, func(ctx context.Context) error {
		obj, err = c.dynamic.Resource(deployments).Namespace(c.namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	return obj, err
}

// remove deletes a DGD and, where await says so, returns when its pods are gone too:
// only then are their GPUs free.
func (c *Cluster) remove(ctx context.Context, obj *unstructured.Unstructured, await bool) error {
	uid, background := obj.GetUID(), metav1.DeletePropagationBackground
	err := persist(ctx, func(ctx context.Context) error {
		err := c.dynamic.Resource(deployments).Namespace(c.namespace).Delete(ctx, obj.GetName(), metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another one by now
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting DynamoGraphDeployment %s: %w; to free its GPUs: kubectl delete dynamographdeployment -n %s %[1]s", obj.GetName(), err, c.namespace)
	}
	if !await {
		return nil
	}
	return c.gone(ctx, obj)
}

// leftovers are the DGDs that runners left: those of the key, and those of any key
// whose time is over.
func (c *Cluster) leftovers(ctx context.Context, key profile.Key, now time.Time) ([]*unstructured.Unstructured, error) {
	var list *unstructured.UnstructuredList
	err := persist(ctx, func(ctx context.Context) (err error) {
		list, err = c.dynamic.Resource(deployments).Namespace(c.namespace).List(ctx, metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/managed-by=" + manager + "," + runLabel})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing DynamoGraphDeployments in %s: %w", c.namespace, err)
	}
	var left []*unstructured.Unstructured
	for i := range list.Items {
		obj := &list.Items[i]
		expires, err := time.Parse(time.RFC3339, obj.GetAnnotations()[expiryAnnotation])
		if obj.GetLabels()[runLabel] == keyLabel(key) || err == nil && now.After(expires) {
			left = append(left, obj)
		}
	}
	return left, nil
}

// tail is the end of a container's log, or empty where it cannot be read.
func (c *Cluster) tail(ctx context.Context, pod, container string, previous bool) string {
	return c.log(ctx, pod, &corev1.PodLogOptions{Container: container, Previous: previous, TailLines: new(int64(50)), LimitBytes: new(int64(16 << 10))})
}

func (c *Cluster) log(ctx context.Context, pod string, o *corev1.PodLogOptions) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	data, err := c.core.CoreV1().Pods(c.namespace).GetLogs(pod, o).DoRaw(ctx)
	if err != nil {
		return ""
	}
	return string(data)
}
