package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const platform = "../../examples/gitops-repo/platform/profile-runner"

// deployment is what the example's kustomization builds with components.
func deployment(t *testing.T, components ...string) []map[string]any {
	t.Helper()
	overlay := t.TempDir()
	abs, err := filepath.Abs(platform)
	require.NoError(t, err)
	base, err := filepath.Rel(overlay, abs)
	require.NoError(t, err)
	text := "resources: [" + base + "]\ncomponents:\n"
	for _, c := range components {
		text += "  - " + base + "/" + c + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o644))
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	require.NoError(t, err)
	var objects []map[string]any
	for _, resource := range built.Resources() {
		object, err := resource.Map()
		require.NoError(t, err)
		objects = append(objects, object)
	}
	return objects
}

// decoded are the objects of one kind, read strictly as their type.
func decoded[T any](t *testing.T, objects []map[string]any, kind string) []T {
	t.Helper()
	var found []T
	for _, object := range objects {
		if object["kind"] != kind {
			continue
		}
		data, err := json.Marshal(object)
		require.NoError(t, err)
		var one T
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(&one))
		found = append(found, one)
	}
	return found
}

// Every argument and every setting of the CronJobs is one of the command, the runner
// ends before it is ended, and the pods are as restricted as Kubernetes' standard.
func TestDeployment(t *testing.T) {
	for _, components := range [][]string{nil, {"shards", "kueue"}, {"refresh", "hardware"}, {"shards", "kueue", "refresh", "hardware"}} {
		t.Run(strings.Join(components, "+"), func(t *testing.T) {
			objects := deployment(t, components...)
			settings := map[string]string{}
			for _, m := range decoded[corev1.ConfigMap](t, objects, "ConfigMap") {
				if strings.HasPrefix(m.Name, "dynamo-profile-runner-settings") {
					settings = m.Data
				}
			}
			require.NotEmpty(t, settings)
			jobs := decoded[batchv1.CronJob](t, objects, "CronJob")
			require.Len(t, jobs, 2)
			for _, j := range jobs {
				require.Equal(t, batchv1.ForbidConcurrent, j.Spec.ConcurrencyPolicy)
				requireCommand(t, j.Spec.JobTemplate.Spec, settings)
				requireRestricted(t, j.Spec.JobTemplate.Spec.Template.Spec)
			}
		})
	}
}

func requireCommand(t *testing.T, job batchv1.JobSpec, settings map[string]string) {
	t.Helper()
	pod := job.Template.Spec
	require.Len(t, pod.Containers, 1)
	root := newRootCommand(io.Discard)
	cmd, rest, err := root.Find(pod.Containers[0].Args)
	require.NoError(t, err)
	require.Equal(t, "run", cmd.Name())
	require.NoError(t, cmd.ParseFlags(rest))
	for name, value := range settings {
		flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "DYNAMO_CMP_")), "_", "-")
		require.NoError(t, cmd.Flags().Set(flag, value))
	}
	grace, err := cmd.Flags().GetDuration("grace-period")
	require.NoError(t, err)
	deadline, err := cmd.Flags().GetDuration("deadline")
	require.NoError(t, err)
	require.Less(t, deadline, time.Duration(*job.ActiveDeadlineSeconds)*time.Second)
	if strategy, _ := cmd.Flags().GetString("strategy"); strategy == "thorough" {
		require.Less(t, grace+15*time.Second, time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second)
		require.NotZero(t, deadline)
	}
	if part, _ := cmd.Flags().GetString("shard"); part == "auto" {
		require.Equal(t, batchv1.IndexedCompletion, *job.CompletionMode)
		require.Contains(t, pod.Containers[0].Env, corev1.EnvVar{Name: completionsVariable, Value: fmt.Sprint(*job.Completions)})
		require.Equal(t, *job.Completions, *job.Parallelism)
		return
	}
	require.Nil(t, job.CompletionMode)
}

// requireRestricted holds the policy "restricted" of the Pod Security Standards, and a
// root file system that is read only.
func requireRestricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	require.Equal(t, corev1.RestartPolicyNever, pod.RestartPolicy)
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.EqualValues(t, 999, *pod.SecurityContext.RunAsUser)
	require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	for _, c := range pod.Containers {
		require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
		require.NotContains(t, c.Image+":", ":latest:")
		require.Contains(t, c.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	}
	for _, v := range pod.Volumes {
		require.True(t, v.EmptyDir != nil || v.ConfigMap != nil || v.Secret != nil, v.Name)
	}
}

// A rapid runner has no token, unless it marks Applications.
func TestDeploymentTokens(t *testing.T) {
	for name, want := range map[string]bool{"": false, "refresh": true} {
		var components []string
		if name != "" {
			components = []string{name}
		}
		for _, j := range decoded[batchv1.CronJob](t, deployment(t, components...), "CronJob") {
			token := j.Spec.JobTemplate.Spec.Template.Spec.AutomountServiceAccountToken
			if strings.HasSuffix(j.Name, "-rapid") {
				require.Equal(t, want, *token)
			} else {
				require.True(t, token == nil || *token)
			}
		}
	}
}

// The thorough runner's rights: nothing of the cluster, no Secrets, nothing in other
// namespaces.
func TestDeploymentRights(t *testing.T) {
	objects := deployment(t)
	require.Empty(t, decoded[rbacv1.ClusterRole](t, objects, "ClusterRole"))
	roles := decoded[rbacv1.Role](t, objects, "Role")
	require.Len(t, roles, 1)
	require.Equal(t, "dynamo-profile-runner", roles[0].Namespace)
	require.Equal(t, []rbacv1.PolicyRule{
		{APIGroups: []string{"nvidia.com"}, Resources: []string{"dynamographdeployments"}, Verbs: []string{"get", "list", "watch", "create", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"get"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"}},
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}, roles[0].Rules)
	bindings := decoded[rbacv1.RoleBinding](t, objects, "RoleBinding")
	require.Len(t, bindings, 1)
	account := decoded[corev1.ServiceAccount](t, objects, "ServiceAccount")
	require.Len(t, account, 1)
	require.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Name: account[0].Name, Namespace: account[0].Namespace}}, bindings[0].Subjects)
}

// git itself takes the credentials of the Secret from the configuration that the
// runners have.
func TestDeploymentCredentials(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(platform, "gitconfig"))
	require.NoError(t, err)
	secret := t.TempDir()
	const mounted = "/etc/dynamo-profile-runner/git-credentials"
	require.Contains(t, string(data), mounted)
	config := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(string(data), mounted, secret)), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(secret, "username"), []byte("runner"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(secret, "password"), []byte("s3cret"), 0o644))
	git := exec.Command("git", "credential", "fill")
	git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+config, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	git.Stdin = strings.NewReader("protocol=https\nhost=git.example.com\n\n")
	out, err := git.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "protocol=https\nhost=git.example.com\nusername=runner\npassword=s3cret\n", string(out))
}

// requireRights holds that a component of the example grants the verbs on a resource,
// and nothing else, by a role of that kind to the account that it ships. It returns the
// objects by kind.
func requireRights(t *testing.T, component, role string, resource schema.GroupVersionResource, verbs ...any) map[string]map[string]any {
	t.Helper()
	kinds := map[string]map[string]any{}
	for _, object := range deployment(t, component) {
		if meta := object["metadata"].(map[string]any); object["kind"] == "ServiceAccount" || meta["name"] == "dynamo-profile-runner-"+component {
			kinds[object["kind"].(string)] = object
		}
	}
	require.Len(t, kinds, 3)
	require.Equal(t, []any{map[string]any{
		"apiGroups": []any{resource.Group}, "resources": []any{resource.Resource}, "verbs": verbs,
	}}, kinds[role]["rules"])
	account := kinds["ServiceAccount"]["metadata"].(map[string]any)
	require.Equal(t, []any{map[string]any{"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}}, kinds[role+"Binding"]["subjects"])
	return kinds
}
