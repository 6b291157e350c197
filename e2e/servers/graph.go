package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// finalizer keeps a deployment until its processes ended, as Dynamo's does.
const finalizer = "nvidia.com/finalizer"

// graph is a deployment that is being answered.
type graph struct {
	*Operator
	dgd    *unstructured.Unstructured
	delete context.CancelFunc
	pods   []*corev1.Pod

	// Written under the operator's mutex.
	url       string
	processes []*Process
}

// component is what of a deployment's component matters here.
type component struct {
	Name, Type  string
	Replicas    *int32
	PodTemplate corev1.PodTemplateSpec
	Multinode   *struct{ NodeCount int32 }
}

func (c component) flags() engineFlags {
	container := c.PodTemplate.Spec.Containers[0]
	return append(engineFlags(container.Command), container.Args...)
}

// works says that the component is an engine.
func (c component) works() bool {
	switch c.flags().module() {
	case "vllm", "sglang", "trtllm", "mocker":
		return true
	}
	return false
}

func (g *graph) components() ([]component, error) {
	var dgd struct {
		Spec struct{ Components []component }
	}
	data, err := g.dgd.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &dgd); err != nil {
		return nil, err
	}
	for _, c := range dgd.Spec.Components {
		if len(c.PodTemplate.Spec.Containers) == 0 {
			return nil, fmt.Errorf("%s has no container", c.Name)
		}
	}
	return dgd.Spec.Components, nil
}

// serve brings the deployment up and returns when ctx ends.
func (g *graph) serve(ctx context.Context) {
	fault := NoFault
	if g.config.Fault != nil {
		fault = g.config.Fault(g.dgd)
	}
	g.call(ctx, func(ctx context.Context) error {
		return g.patch(ctx, map[string]any{"metadata": map[string]any{"uid": g.dgd.GetUID(), "finalizers": []string{finalizer}}})
	})
	g.report(ctx, "initializing", "pods_not_ready", "pods are being made")
	components, err := g.components()
	if err != nil {
		g.report(ctx, "failed", "pods_not_ready", err.Error())
		<-ctx.Done()
		return
	}
	address := g.makeService(ctx)
	for _, c := range components {
		g.makePods(ctx, c)
	}
	if ctx.Err() != nil {
		return
	}
	if err := g.run(ctx, components, fault, address); err != nil {
		if ctx.Err() == nil {
			g.t.Logf("operator: %s: %v", g.dgd.GetName(), err)
		}
		g.fail(ctx, CrashLoop)
	}
	<-ctx.Done()
}

// run starts the processes that serve and waits until they do, or shows the fault.
func (g *graph) run(ctx context.Context, components []component, fault Fault, address string) error {
	model := ""
	for _, c := range components {
		if c.works() {
			model = c.flags().served()
		}
	}
	if err := g.Hub.add(model); err != nil {
		return err
	}
	kv := filepath.Join(g.dir, string(g.dgd.GetUID()))
	if err := os.MkdirAll(kv, 0o700); err != nil {
		return err
	}
	for _, c := range components {
		switch flags := c.flags(); {
		case flags.module() == "frontend":
			if err := g.start(kv, "frontend", "--http-host", address, "--http-port", "8000"); err != nil {
				return err
			}
		case c.works() && fault == NoFault:
			for range replicas(c) {
				if err := g.start(kv, append([]string{"mocker"}, flags.mocker(g.config.System, g.config.Speedup)...)...); err != nil {
					return err
				}
			}
		}
	}
	url := "http://" + address + ":8000"
	g.mu.Lock()
	g.url = url
	g.mu.Unlock()
	if err := g.await(ctx, func() error { return healthy(http.DefaultClient, url+"/health")() }); err != nil {
		return err
	}
	if fault == NoFault {
		if err := g.await(ctx, func() error { return lists(url, model) }); err != nil {
			return err
		}
	}
	if fault == NoFault || fault == NotServing {
		for _, pod := range g.pods {
			g.setStatus(ctx, pod, running(pod, true))
		}
		g.report(ctx, "successful", "all_resources_are_ready", "all resources are ready")
		return nil
	}
	g.fail(ctx, fault)
	return nil
}

// start runs a module of Dynamo for the deployment.
func (g *graph) start(kv string, module ...string) error {
	args := append([]string{"-m", "dynamo." + module[0]}, module[1:]...)
	p, err := start(kv, g.python, args, append([]string{"DYN_FILE_KV=" + filepath.Join(kv, "discovery")}, g.env...))
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.processes = append(g.processes, p)
	return nil
}

// await asks until ready answers nil, a process ends or ctx does.
func (g *graph) await(ctx context.Context, ready func() error) error {
	for {
		for _, p := range g.processes {
			select {
			case <-p.done:
				return fmt.Errorf("%v ended:\n%s", p.cmd.Args, p.logEnd(3000))
			default:
			}
		}
		if ready() == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lists checks that a frontend knows the model.
func lists(url, model string) error {
	resp, err := http.Get(url + "/v1/models")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var models struct{ Data []struct{ ID string } }
	if err := json.NewDecoder(resp.Body).Decode(&models); err != nil {
		return err
	}
	for _, m := range models.Data {
		if m.ID == model {
			return nil
		}
	}
	return errors.New(model + " is not there")
}

// takeDown ends the processes and lets the deployment go, and later its pods. When
// ctx ended, as with the test, only the processes end.
func (g *graph) takeDown(ctx context.Context) {
	for _, p := range g.processes {
		p.Kill()
	}
	g.mu.Lock()
	g.processes, g.url = nil, ""
	g.mu.Unlock()
	g.call(ctx, func(ctx context.Context) error {
		return g.core.CoreV1().Services(g.config.Namespace).Delete(ctx, g.dgd.GetName()+"-frontend", metav1.DeleteOptions{})
	})
	g.call(ctx, func(ctx context.Context) error {
		return g.patch(ctx, map[string]any{"metadata": map[string]any{"uid": g.dgd.GetUID(), "finalizers": nil}})
	})
	select {
	case <-time.After(g.config.Linger):
	case <-ctx.Done():
	}
	for _, pod := range g.pods {
		g.call(ctx, func(ctx context.Context) error {
			return g.core.CoreV1().Pods(g.config.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
		})
	}
}

func (g *graph) patch(ctx context.Context, patch map[string]any, subresource ...string) error {
	data, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = g.dynamic.Patch(ctx, g.dgd.GetName(), types.MergePatchType, data, metav1.PatchOptions{}, subresource...)
	return err
}

// makeService makes the frontend's Service and returns its address.
func (g *graph) makeService(ctx context.Context) string {
	services := g.core.CoreV1().Services(g.config.Namespace)
	name, address := g.dgd.GetName()+"-frontend", ""
	g.call(ctx, func(ctx context.Context) error {
		_, err := services.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{graphLabel: g.dgd.GetName(), typeLabel: "frontend"},
				Ports:    []corev1.ServicePort{{Name: "http", Port: 8000, TargetPort: intstr.FromString("http")}},
			},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		made, err := services.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			address = made.Spec.ClusterIP
		}
		return err
	})
	return address
}
