package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/dynamo-cmp/dynamo-cmp/e2e/servers"
)

const fleetNamespace = "dynamo-profile-runner"

// fleet is the example's CronJobs on a control plane, with a repository of four
// applications, of two keys, whose results are stored and whose locks are missing.
type fleet struct {
	core   kubernetes.Interface
	plane  *servers.ControlPlane
	origin checkout
	names  []string
}

func newFleet(t *testing.T, components ...string) *fleet {
	t.Helper()
	f := &fleet{origin: gitRepository(t)}
	kinds := []string{"qwen-small", "llama-70b"}
	dgdrs := []string{f.origin.read(t, "apps/qwen-small/dgdr.yaml"), f.origin.read(t, "apps/llama-70b/dgdr.yaml")}
	f.origin.git(t, "rm", "--quiet", "-r", "apps")
	for i := range 4 {
		name := fmt.Sprintf("app-%d", i)
		f.names = append(f.names, name)
		f.origin.write(t, "apps/"+name+"/dgdr.yaml", strings.Replace(dgdrs[i%2], "name: "+kinds[i%2], "name: "+name, 1))
	}
	f.origin.commit(t, "Applications without locks")
	plane := servers.StartControlPlane(t)
	objects := plane.Objects(t)
	_, err := objects.Apply(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": fleetNamespace,
			"labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}}}}, "e2e")
	require.NoError(t, err)
	f.plane = plane
	f.core, err = kubernetes.NewForConfig(plane.Config)
	require.NoError(t, err)

	dir := t.TempDir()
	require.NoError(t, exec.Command("cp", "-r", "../examples/gitops-repo/platform/profile-runner", dir).Run())
	overlay := `resources: [profile-runner]
configMapGenerator:
  - name: dynamo-profile-runner-settings
    namespace: dynamo-profile-runner
    behavior: merge
    literals: ["DYNAMO_CMP_REPO=` + f.origin.url + `", "DYNAMO_CMP_STORE=oci-layout:` + filepath.Join(f.origin.dir, ".dynamo-cmp/store") + `"]
components:
`
	for _, c := range components {
		overlay += "  - profile-runner/" + c + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o644))
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	stream, err := built.AsYaml()
	require.NoError(t, err)
	decoded, err := servers.Decode(stream)
	require.NoError(t, err)
	for _, obj := range decoded {
		_, err := objects.Apply(t.Context(), obj, "e2e")
		require.NoError(t, err, obj.GetKind()+" "+obj.GetName())
	}
	return f
}

// pods waits for the pods of a Job.
func (f *fleet) pods(t *testing.T, job string, count int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	require.Eventually(t, func() bool {
		list, err := f.core.CoreV1().Pods(fleetNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + job})
		if err == nil {
			pods = list.Items
		}
		return len(pods) == count
	}, time.Minute, 200*time.Millisecond)
	return pods
}

// run does what a kubelet would: it runs the pod's container with its arguments and
// environment, on this machine, and reports how it ended.
func (f *fleet) run(t *testing.T, pod corev1.Pod) string {
	t.Helper()
	container := pod.Spec.Containers[0]
	cmd := exec.CommandContext(t.Context(), runnerBinary(t), container.Args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DYNAMO_CMP_PYTHON=/no/python"}
	for _, from := range container.EnvFrom {
		settings, err := f.core.CoreV1().ConfigMaps(pod.Namespace).Get(t.Context(), from.ConfigMapRef.Name, metav1.GetOptions{})
		require.NoError(t, err)
		for name, value := range settings.Data {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	for _, e := range container.Env {
		value := e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			field := strings.Split(e.ValueFrom.FieldRef.FieldPath, "'")
			value = map[string]map[string]string{"metadata.annotations[": pod.Annotations, "metadata.labels[": pod.Labels}[field[0]][field[1]]
		}
		if e.Name == "GIT_CONFIG_GLOBAL" { // the ConfigMap's file
			value = "../examples/gitops-repo/platform/profile-runner/gitconfig"
			abs, err := filepath.Abs(value)
			require.NoError(t, err)
			value = abs
		}
		cmd.Env = append(cmd.Env, e.Name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	now := metav1.Now()
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container.Name, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: 0, Reason: "Completed", StartedAt: now, FinishedAt: now}}}}
	_, err = f.core.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), &pod, metav1.UpdateOptions{})
	require.NoError(t, err)
	return string(out)
}

func (f *fleet) completes(t *testing.T, job string) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := f.core.BatchV1().Jobs(fleetNamespace).Get(t.Context(), job, metav1.GetOptions{})
		if err != nil {
			return false
		}
		for _, c := range got.Status.Conditions {
			if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	}, time.Minute, 200*time.Millisecond)
}

// pushed holds that the branch has the lock of every application, and main none.
func (f *fleet) pushed(t *testing.T) {
	t.Helper()
	for _, name := range f.names {
		require.Contains(t, f.origin.git(t, "show", "dynamo-profiles:apps/"+name+"/dynamo.lock"), "- name: "+name)
	}
	require.NotContains(t, f.origin.git(t, "ls-tree", "-r", "--name-only", "main", "apps"), "dynamo.lock")
}

// A CronJob comes due on a real control plane, whose Job runs as its pod says and
// pushes the locks.
func TestFleetCronJob(t *testing.T) {
	f := newFleet(t)
	cronJobs := f.core.BatchV1().CronJobs(fleetNamespace)
	_, err := cronJobs.Patch(t.Context(), "dynamo-profile-runner-rapid", "application/merge-patch+json", []byte(`{"spec": {"schedule": "* * * * *"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	var job string
	require.Eventually(t, func() bool {
		list, err := f.core.BatchV1().Jobs(fleetNamespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			job = list.Items[0].Name
		}
		return job != ""
	}, 2*time.Minute, time.Second)
	out := f.run(t, f.pods(t, job, 1)[0])
	require.Contains(t, out, "Pin 4 profiling results")
	f.completes(t, job)
	f.pushed(t)
}

// The shards of an Indexed Job answer every request between them, behind a queue's
// label.
func TestFleetIndexedJob(t *testing.T) {
	f := newFleet(t, "shards", "kueue")
	cron, err := f.core.BatchV1().CronJobs(fleetNamespace).Get(t.Context(), "dynamo-profile-runner-thorough", metav1.GetOptions{})
	require.NoError(t, err)
	template := cron.Spec.JobTemplate
	require.Equal(t, "profiling", template.Labels["kueue.x-k8s.io/queue-name"])
	args := template.Spec.Template.Spec.Containers[0].Args
	for i, arg := range args {
		args[i] = strings.Replace(arg, "--strategy=thorough", "--strategy=rapid", 1) // whose results are there
	}
	job, err := f.core.BatchV1().Jobs(fleetNamespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "shards", Labels: template.Labels}, Spec: template.Spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	for _, pod := range f.pods(t, job.Name, 4) {
		f.run(t, pod)
	}
	f.completes(t, job.Name)
	f.pushed(t)
}

// The Job of a request is one that the API server takes.
func TestFleetJobOfRequest(t *testing.T) {
	f := newFleet(t)
	cmd := exec.Command(runnerBinary(t), "job", filepath.Join(f.origin.dir, "apps/app-0"), "--namespace", fleetNamespace, "--image", "registry.example.com/runner:1",
		"--", "--repo", f.origin.url, "--push-branch", "dynamo-profiles", "--store", "oci-layout:"+filepath.Join(f.origin.dir, ".dynamo-cmp/store"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	objects, err := servers.Decode(out)
	require.NoError(t, err)
	require.Len(t, objects, 1)
	var job batchv1.Job
	data, err := objects[0].MarshalJSON()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &job))
	_, err = f.core.BatchV1().Jobs(fleetNamespace).Create(t.Context(), &job, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	require.NoError(t, err)
	require.Equal(t, fleetNamespace, job.Namespace)
	pod := f.pods(t, job.Name, 1)[0]
	require.Equal(t, job.Name, pod.OwnerReferences[0].Name)
}

// What becomes of requests is told on the Job, with no more rights than the example gives.
func TestFleetJobEvents(t *testing.T) {
	f := newFleet(t)
	cron, err := f.core.BatchV1().CronJobs(fleetNamespace).Get(t.Context(), "dynamo-profile-runner-thorough", metav1.GetOptions{})
	require.NoError(t, err)
	spec := cron.Spec.JobTemplate.Spec
	spec.Suspend = new(true)
	job, err := f.core.BatchV1().Jobs(fleetNamespace).Create(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "tells"}, Spec: spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	config, err := clientcmd.LoadFromFile(f.plane.As(t, "system:serviceaccount:dynamo-profile-runner:dynamo-profile-runner"))
	require.NoError(t, err)
	config.Contexts[config.CurrentContext].Namespace = fleetNamespace
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, kubeconfig))
	f.origin.replace(t, "apps/app-0/dgdr.yaml", "  model: ", "  modle: ")
	run := func() string {
		cmd := exec.CommandContext(t.Context(), runnerBinary(t), "run", filepath.Join(f.origin.dir, "apps/app-0"))
		cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "JOB_NAME="+job.Name, "JOB_UID="+string(job.UID))
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		return string(out)
	}
	require.Eventually(t, func() bool { // until the API server's authorizer has the role
		return !strings.Contains(run(), "forbidden")
	}, time.Minute, 200*time.Millisecond)
	require.NotContains(t, run(), "writing Events")

	list, err := f.core.EventsV1().Events(fleetNamespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var told []string
	for _, e := range list.Items {
		if e.Regarding.UID == job.UID && e.ReportingController == "dynamo-cmp.github.io/profile-runner" {
			told = append(told, fmt.Sprintf("%s %s %d", e.Type, e.Reason, e.Series.Count))
			require.Contains(t, e.Note, "modle")
		}
	}
	require.Equal(t, []string{"Warning RequestRefused 2"}, told)
}
