package thorough

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// view is what is known of the namespace without asking: DGDs of runners, pods of
// any DGD, and events of pods that could not be made. Informers keep it, and ride
// out an API server that is away.
type view struct {
	deployments cache.GenericLister
	pods        corelisters.PodLister
	events      corelisters.EventLister
	stop        context.CancelFunc

	mu   sync.Mutex
	next chan struct{} // closed at the next change
}

// watch starts the view. The context bounds the wait for its first content alone.
func (c *Cluster) watch(ctx context.Context) (*view, error) {
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	v := &view{stop: stop, next: make(chan struct{})}
	own := func(o *metav1.ListOptions) { o.LabelSelector = "app.kubernetes.io/managed-by=" + manager }
	dgds := dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.dynamic, 0, c.namespace, own)
	pods := informers.NewSharedInformerFactoryWithOptions(c.core, 0, informers.WithNamespace(c.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = graphLabel }))
	events := informers.NewSharedInformerFactoryWithOptions(c.core, 0, informers.WithNamespace(c.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("reason", "FailedCreate").String()
		}))
	v.deployments = dgds.ForResource(deployments).Lister()
	v.pods, v.events = pods.Core().V1().Pods().Lister(), events.Core().V1().Events().Lister()
	synced := map[string]cache.InformerSynced{}
	for resource, informer := range map[string]cache.SharedIndexInformer{
		"dynamographdeployments": dgds.ForResource(deployments).Informer(),
		"pods":                   pods.Core().V1().Pods().Informer(),
		"events":                 events.Core().V1().Events().Informer(),
	} {
		handler := cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { v.change() }, UpdateFunc: func(any, any) { v.change() }, DeleteFunc: func(any) { v.change() },
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			stop()
			return nil, fmt.Errorf("watching %s: %w", resource, err)
		}
		synced[resource] = informer.HasSynced
	}
	dgds.Start(live.Done())
	pods.Start(live.Done())
	events.Start(live.Done())
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for resource, has := range synced {
		if !cache.WaitForCacheSync(ctx.Done(), has) {
			stop()
			return nil, fmt.Errorf("watching %s in %s: no answer; to see why: kubectl auth can-i watch %[1]s -n %[2]s", resource, c.namespace)
		}
	}
	return v, nil
}

func (v *view) change() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.next)
	v.next = make(chan struct{})
}

// changed is closed at the next change. It is asked for before looking.
func (v *view) changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.next
}

// until returns when the condition holds, or with the context's cause.
func (v *view) until(ctx context.Context, condition func() bool) error {
	for {
		changed := v.changed()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// deployment is the DGD of that name, or nil.
func (v *view) deployment(namespace, name string) *unstructured.Unstructured {
	obj, err := v.deployments.ByNamespace(namespace).Get(name)
	if err != nil { // a lister knows no error but not found
		return nil
	}
	return obj.(*unstructured.Unstructured)
}

// podsOf are the pods of a DGD.
func (v *view) podsOf(namespace, name string) []*corev1.Pod {
	pods, _ := v.pods.Pods(namespace).List(labels.SelectorFromSet(labels.Set{graphLabel: name}))
	return pods
}

// refused is the latest message about pods of a DGD that could not be made.
func (v *view) refused(namespace, name string) string {
	events, _ := v.events.Events(namespace).List(labels.Everything())
	var latest *corev1.Event
	for _, e := range events {
		if strings.HasPrefix(e.InvolvedObject.Name, name) && (latest == nil || latest.LastTimestamp.Before(&e.LastTimestamp)) {
			latest = e
		}
	}
	if latest == nil {
		return ""
	}
	return latest.Message
}

// gone returns when a DGD and its pods are no more.
func (c *Cluster) gone(ctx context.Context, obj *unstructured.Unstructured) error {
	const patience = 10 * time.Minute // engines have a minute to end, nodes may be slow
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.view.until(wait, func() bool {
		have := c.view.deployment(c.namespace, obj.GetName())
		return (have == nil || have.GetUID() != obj.GetUID()) && len(c.view.podsOf(c.namespace, obj.GetName())) == 0
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("DynamoGraphDeployment %s is deleted, and after %s its pods are still there; to see them: kubectl get pods -n %s -l %s=%[1]s",
			obj.GetName(), patience, c.namespace, graphLabel)
	}
	return err
}
