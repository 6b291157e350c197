package servers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Objects reads and writes any kind of object of a control plane.
type Objects struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// Objects is a client for every kind that the control plane serves.
func (c *ControlPlane) Objects(t testing.TB) *Objects {
	t.Helper()
	client, err := dynamic.NewForConfig(c.Config)
	require.NoError(t, err)
	disco, err := discovery.NewDiscoveryClientForConfig(c.Config)
	require.NoError(t, err)
	return &Objects{client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))}
}

// Of is the client for one kind in a namespace, which cluster-wide kinds ignore.
func (o *Objects) Of(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := o.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		o.mapper.Reset() // a definition may have come since
		if mapping, err = o.mapper.RESTMapping(gvk.GroupKind(), gvk.Version); err != nil {
			return nil, err
		}
	}
	if mapping.Scope.Name() == "namespace" {
		return o.client.Resource(mapping.Resource).Namespace(namespace), nil
	}
	return o.client.Resource(mapping.Resource), nil
}

// Apply applies an object server-side, with strict validation of its fields.
func (o *Objects) Apply(ctx context.Context, obj *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	client, err := o.Of(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	data, err := obj.MarshalJSON()
	if err != nil {
		return nil, err
	}
	force := true
	return client.Patch(ctx, obj.GetName(), "application/apply-patch+yaml", data,
		metav1.PatchOptions{FieldManager: manager, Force: &force, FieldValidation: metav1.FieldValidationStrict})
}

// Decode reads the objects of a YAML stream.
func Decode(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		var obj unstructured.Unstructured
		if err := decoder.Decode(&obj.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(obj.Object) > 0 {
			objects = append(objects, &obj)
		}
	}
}

// ApplyFiles applies the objects of YAML files into a namespace.
func (o *Objects) ApplyFiles(t testing.TB, namespace string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		objects, err := Decode(data)
		require.NoError(t, err, path)
		for _, obj := range objects {
			obj.SetNamespace(namespace)
			_, err := o.Apply(t.Context(), obj, "e2e")
			require.NoError(t, err, path)
		}
	}
}

// DefineDynamo loads Dynamo's definitions from the directory of shared data, or
// skips the test where there is none. Conversion between versions needs Dynamo's
// webhook: it is left out, so that objects are kept in the version they come in.
func (o *Objects) DefineDynamo(t testing.TB) {
	t.Helper()
	paths, err := filepath.Glob("../../shared/crds/*.yaml")
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skip("no ../shared/crds: Dynamo's definitions are not in this checkout")
	}
	o.Define(t, paths...)
}

// Define loads the CustomResourceDefinitions of YAML files and returns when the
// control plane serves them: one that is established may be unknown for a moment.
func (o *Objects) Define(t testing.TB, paths ...string) {
	t.Helper()
	var served []schema.GroupVersionKind
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		definitions, err := Decode(data)
		require.NoError(t, err)
		for _, d := range definitions {
			unstructured.RemoveNestedField(d.Object, "spec", "conversion")
			unstructured.RemoveNestedField(d.Object, "status")
			_, err := o.Apply(t.Context(), d, "e2e")
			require.NoError(t, err, path)
			served = append(served, kinds(d)...)
		}
	}
	for _, kind := range served {
		require.Eventually(t, func() bool {
			client, err := o.Of(kind, metav1.NamespaceAll)
			if err == nil {
				_, err = client.List(t.Context(), metav1.ListOptions{Limit: 1})
			}
			return err == nil
		}, time.Minute, 50*time.Millisecond, "%s is not served", kind)
	}
}

// kinds are what a definition says is served.
func kinds(definition *unstructured.Unstructured) []schema.GroupVersionKind {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	var served []schema.GroupVersionKind
	for _, v := range versions {
		if v := v.(map[string]any); v["served"] == true {
			served = append(served, schema.GroupVersionKind{Group: group, Version: v["name"].(string), Kind: kind})
		}
	}
	return served
}
