package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// deployments is the resource of a DynamoGraphDeployment.
var deployments = schema.GroupVersionResource{Group: "nvidia.com", Version: "v1beta1", Resource: "dynamographdeployments"}

// Fault is what goes wrong with a deployment.
type Fault string

const (
	NoFault       Fault = ""              // it is served
	ImagePull     Fault = "image pull"    // workers wait with ErrImagePull, then ImagePullBackOff
	OutOfMemory   Fault = "out of memory" // workers are OOMKilled again and again
	CrashLoop     Fault = "crash loop"    // workers exit with 1 and wait with CrashLoopBackOff
	NeverReady    Fault = "never ready"   // workers run and do not become ready
	NotServing    Fault = "not serving"   // every pod is ready, and the frontend knows no model
	Unschedulable Fault = "unschedulable" // workers find no node
)

// OperatorConfig is how the operator answers.
type OperatorConfig struct {
	Namespace string  // whose deployments it answers
	System    string  // the GPUs, in AIConfigurator's words: h200_sxm
	Speedup   float64 // of the engines; 1 is the time that AIConfigurator predicts, 0 none
	// Linger is how long pods stay, and hold their GPUs, once their deployment is gone.
	Linger time.Duration
	// Fault is asked once for every deployment; nil serves all.
	Fault func(dgd *unstructured.Unstructured) Fault
}

// Operator stands in for Dynamo's. It answers each DynamoGraphDeployment with the
// objects that Dynamo's operator and a cluster would make of it, and with Dynamo's
// own frontend and mocker on loopback, whose timing follows the engine's flags by
// AIConfigurator's tables. The frontend listens where its Service says, at the
// cluster IP. Pods that a ResourceQuota refuses are tried again until there is room.
// There is no kubelet: pods have no logs. A changed spec is not looked at.
type Operator struct {
	Hub *Hub // has every model that is served

	config  OperatorConfig
	t       testing.TB
	python  string
	env     []string
	dir     string
	dynamic dynamic.ResourceInterface
	core    kubernetes.Interface

	work sync.WaitGroup

	mu     sync.Mutex
	graphs map[types.UID]*graph
}

// DynamoPython is a Python with Dynamo, which DYNAMO_CMP_DYNAMO names, or the test
// is skipped.
func DynamoPython(t testing.TB) string {
	t.Helper()
	python := os.Getenv("DYNAMO_CMP_DYNAMO")
	if python == "" {
		t.Skip("DYNAMO_CMP_DYNAMO names no Python with planner/testdata/requirements-dynamo.txt: the make targets e2e-* set it")
	}
	return python
}

// StartOperator answers the deployments of a namespace until the test ends. The
// control plane has Dynamo's definitions already.
func StartOperator(t testing.TB, c *ControlPlane, config OperatorConfig) *Operator {
	t.Helper()
	python := DynamoPython(t)
	tables, err := filepath.Glob(filepath.Join(filepath.Dir(os.Getenv("DYNAMO_CMP_PYTHON")), "../lib/python3*/site-packages"))
	require.NoError(t, err)
	if len(tables) != 1 {
		t.Skip("no AIConfigurator, from which the mocker takes its timing: the make targets e2e-* set DYNAMO_CMP_PYTHON")
	}
	core, err := kubernetes.NewForConfig(c.Config)
	require.NoError(t, err)
	client, err := dynamic.NewForConfig(c.Config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	o := &Operator{
		Hub: NewHub(t), config: config, t: t, python: python, dir: Dir(t),
		dynamic: client.Resource(deployments).Namespace(config.Namespace), core: core,
		graphs: map[types.UID]*graph{},
	}
	o.env = []string{
		"PYTHONPATH=" + tables[0], "HF_HUB_CACHE=" + o.Hub.Dir, "HF_HUB_OFFLINE=1", "DYN_NAMESPACE=" + config.Namespace,
		"DYN_TCP_RPC_HOST=127.0.0.1", "DYN_HTTP_RPC_HOST=127.0.0.1", "DYN_SYSTEM_HOST=127.0.0.1", "DYN_TCP_RESPONSE_STREAM_HOST=lo",
		"DYN_DISCOVERY_BACKEND=file", "DYN_REQUEST_PLANE=tcp", "DYN_EVENT_PLANE=zmq",
	}
	informers := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, config.Namespace, nil)
	informer := informers.ForResource(deployments).Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { o.observe(ctx, obj) },
		UpdateFunc: func(_, obj any) { o.observe(ctx, obj) },
		DeleteFunc: o.forget,
	})
	require.NoError(t, err)
	informers.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		informers.Shutdown()
		o.work.Wait()
	})
	require.True(t, cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced))
	return o
}

// URL is where the frontend of a deployment listens, which clients in the cluster
// know as <deployment>-frontend; empty while there is none.
func (o *Operator) URL(dgd string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range o.graphs {
		if g.dgd.GetName() == dgd && g.url != "" {
			return g.url
		}
	}
	return ""
}

// Processes are the ids of the processes that serve deployments.
func (o *Operator) Processes() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	var pids []int
	for _, g := range o.graphs {
		for _, p := range g.processes {
			pids = append(pids, p.PID())
		}
	}
	return pids
}

// observe begins to answer a deployment, or to take it down.
func (o *Operator) observe(ctx context.Context, obj any) {
	dgd := obj.(*unstructured.Unstructured)
	o.mu.Lock()
	defer o.mu.Unlock()
	if g := o.graphs[dgd.GetUID()]; g != nil {
		if dgd.GetDeletionTimestamp() != nil {
			g.delete()
		}
		return
	}
	if dgd.GetDeletionTimestamp() != nil || ctx.Err() != nil {
		return
	}
	wanted, cancel := context.WithCancel(ctx)
	g := &graph{Operator: o, dgd: dgd.DeepCopy(), delete: cancel}
	o.graphs[dgd.GetUID()] = g
	o.work.Go(func() {
		g.serve(wanted)
		g.takeDown(ctx)
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.graphs, dgd.GetUID())
	})
}

// forget takes a deployment down that was deleted past its finalizer.
func (o *Operator) forget(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if g := o.graphs[obj.(*unstructured.Unstructured).GetUID()]; g != nil {
		g.delete()
	}
}

// call repeats a call of the API until it is done, or its object is gone or another
// one, or ctx ends. What the API server finds invalid fails the test.
func (o *Operator) call(ctx context.Context, f func(context.Context) error) {
	for ctx.Err() == nil {
		err := f(ctx)
		switch {
		case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
			return
		case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			o.t.Error(fmt.Errorf("operator: %w", err))
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
