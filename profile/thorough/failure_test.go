package thorough

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestTroubleOf(t *testing.T) {
	for name, c := range map[string]struct {
		status  string
		class   FailureClass // empty for no trouble
		lasting bool
		message string
	}{
		"running":           {`containerStatuses: [{name: main, state: {running: {}}}]`, "", false, ""},
		"creating":          {`containerStatuses: [{name: main, state: {waiting: {reason: ContainerCreating}}}]`, "", false, ""},
		"died once":         {`containerStatuses: [{name: main, restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 1, reason: Error}}}]`, "", false, ""},
		"pull backs off":    {`containerStatuses: [{name: main, state: {waiting: {reason: ImagePullBackOff, message: Back-off pulling}}}]`, FailedImagePull, false, "pod p: ImagePullBackOff: Back-off pulling"},
		"no image's name":   {`containerStatuses: [{name: main, state: {waiting: {reason: InvalidImageName}}}]`, FailedImagePull, true, "pod p: InvalidImageName"},
		"init cannot pull":  {`initContainerStatuses: [{name: init, state: {waiting: {reason: ErrImagePull}}}]`, FailedImagePull, false, "pod p: ErrImagePull"},
		"a missing secret":  {`containerStatuses: [{name: main, state: {waiting: {reason: CreateContainerConfigError, message: 'secret "hf" not found'}}}]`, FailedConfig, false, `pod p: CreateContainerConfigError: secret "hf" not found`},
		"out of memory":     {`containerStatuses: [{name: main, restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]`, FailedOutOfMemory, true, "pod p: OOMKilled: container main exited with 137"},
		"killed":            {`containerStatuses: [{name: main, state: {terminated: {exitCode: 137, reason: Error}}}]`, FailedOutOfMemory, true, "pod p: Error: container main exited with 137"},
		"crashes":           {`containerStatuses: [{name: main, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, reason: Error}}}]`, FailedCrash, true, "pod p: Error: container main exited with 1, 1 times"},
		"crashed too often": {`containerStatuses: [{name: main, restartCount: 2, state: {running: {}}, lastState: {terminated: {exitCode: 2, reason: Error}}}]`, FailedCrash, true, "pod p: Error: container main exited with 2, 2 times"},
		"evicted":           {`{phase: Failed, reason: Evicted, message: disk pressure}`, FailedInterrupted, true, "pod p: Evicted: disk pressure"},
		"unschedulable":     {`conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/3 nodes}]`, FailedCapacity, false, "pod p: Unschedulable: 0/3 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
			require.NoError(t, yaml.UnmarshalStrict([]byte(c.status), &pod.Status))
			got := troubleOf(pod)
			if c.class == "" {
				require.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			require.Equal(t, c.class, got.Class)
			require.Equal(t, c.lasting, got.lasting)
			require.Equal(t, c.message, got.Message)
		})
	}
}

func TestTellsOutOfMemory(t *testing.T) {
	require.True(t, tellsOutOfMemory("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"))
	require.True(t, tellsOutOfMemory("ValueError: No available memory for the cache blocks."))
	require.False(t, tellsOutOfMemory("RuntimeError: NCCL error"))
}

func TestRefusalOf(t *testing.T) {
	require.Nil(t, refusalOf(""))
	require.Equal(t, FailedQuota, refusalOf(`Error creating: pods "p" is forbidden: exceeded quota: gpus`).Class)
	require.Equal(t, FailedConfig, refusalOf(`Error creating: pods "p" is forbidden: violates PodSecurity "restricted:latest"`).Class)
}

func TestPodsOf(t *testing.T) {
	data, err := yaml.YAMLToJSON([]byte(`{apiVersion: v1, kind: D, spec: {components: [{name: Frontend}, {name: decode, replicas: 2, multinode: {nodeCount: 3}}, {name: off, replicas: 0}]}}`))
	require.NoError(t, err)
	var dgd unstructured.Unstructured
	require.NoError(t, dgd.UnmarshalJSON(data))
	require.Equal(t, 7, podsOf(&dgd))
}
