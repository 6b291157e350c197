package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The objects of the application "llama-70b" of these tests.
var (
	llama = object{"nvidia.com/v1beta1/DynamoGraphDeployment", "llama-70b-dgd"}
	qwen  = object{"nvidia.com/v1beta1/DynamoGraphDeployment", "qwen-small-dgd"}
	smoke = object{"batch/v1/Job", "smoke-test"}
)

// An application's life with the whole of Argo CD, on a real API server that has
// Dynamo's definitions: each step goes on from the one before.
func TestApplicationLife(t *testing.T) {
	s := newSite(t)
	twoRequestsAndAJob(t, s.repo)
	s.deploy(t, "llama-70b")
	s.settled(t, "llama-70b", s.repo.git(t, "rev-parse", "HEAD"))

	// Everything that was rendered is there.
	dgd := s.live(t, llama)
	s.live(t, qwen)
	s.live(t, smoke)
	mounted := false
	for _, m := range strings.Split(mustJSON(t, dgd.Object), `"configMap":{"name":"`)[1:] {
		name, _, _ := strings.Cut(m, `"`)
		s.live(t, object{"/v1/ConfigMap", name})
		mounted = true
	}
	require.True(t, mounted, "the planner's ConfigMap is not mounted")

	// It is healthy when the operator says so, and of this generation.
	require.Equal(t, "Progressing", s.health(t, "llama-70b-dgd"))
	s.operate(t, llama, "successful")
	require.Eventually(t, func() bool { return s.health(t, "llama-70b-dgd") == "Healthy" }, 60*time.Second, time.Second)

	// What the planner sets stays, while a new image in Git arrives.
	i, decode := component(t, dgd, "decode")
	require.NotContains(t, decode, "replicas")
	s.patch(t, llama, "planner", fmt.Sprintf(`[{"op": "add", "path": "/spec/components/%d/replicas", "value": 3}]`, i))
	s.repo.replace(t, "apps/llama-70b/dgdr.yaml", "spec:\n", "spec:\n  image: registry.example.com/dynamo/dynamo-planner:1.5.1\n")
	s.settled(t, "llama-70b", s.repo.commit(t, "Images from our registry"))
	_, decode = component(t, s.live(t, llama), "decode")
	require.EqualValues(t, 3, decode["replicas"])
	require.Contains(t, mustJSON(t, decode), "registry.example.com/dynamo/")

	// A request without its result changes nothing, and says what to do.
	s.repo.write(t, "apps/llama-70b/qwen-small.yaml", s.repo.read(t, "apps/llama-70b/qwen-small.yaml")+longerPrompts)
	s.repo.commit(t, "Longer prompts, not profiled")
	s.failsToRender(t, "llama-70b", "ComparisonError", "workload.isl 4000, now 12000, workload.osl 1000, now 300; to profile it again: dynamo-profile-runner run apps/llama-70b")
	before := s.live(t, qwen)
	s.live(t, llama)

	// The commit of the lock brings the result.
	s.repo.profile(t, "llama-70b")
	s.settled(t, "llama-70b", s.repo.commit(t, "The result for longer prompts"))
	require.NotEqual(t, before.Object["spec"], s.live(t, qwen).Object["spec"])

	// A request that is gone takes its deployment along, and only that.
	s.repo.git(t, "rm", "--quiet", "apps/llama-70b/qwen-small.yaml")
	s.settled(t, "llama-70b", s.repo.commit(t, "Without the small model"))
	require.Eventually(t, func() bool {
		_, err := s.read(t, qwen)
		return apierrors.IsNotFound(err)
	}, 30*time.Second, 200*time.Millisecond)
	_, decode = component(t, s.live(t, llama), "decode")
	require.EqualValues(t, 3, decode["replicas"])
	s.live(t, smoke)
}

// Where results are found by key, one that lands without a commit is seen because
// the runner marks the Application, with the rights that the example gives it.
func TestRefreshWhenAResultLands(t *testing.T) {
	store := "oci-layout:" + t.TempDir()
	s := newSite(t, "DYNAMO_CMP_RESOLVE=key", "DYNAMO_CMP_STORE="+store)
	s.repo.git(t, "rm", "--quiet", "apps/qwen-small/dynamo.lock")
	commit := s.repo.commit(t, "Nothing is locked")
	s.deploy(t, "qwen-small")
	s.failsToRender(t, "qwen-small", "Manifest generation error (cached)", "dynamo-profile-runner run apps/qwen-small")

	s.objects.ApplyFiles(t, "argocd", "../examples/gitops-repo/platform/profile-runner/refresh/rbac.yaml")
	out := s.repo.run(t, []string{"KUBECONFIG=" + s.cluster.As(t, "system:serviceaccount:dynamo-profile-runner:dynamo-profile-runner")},
		"qwen-small", "--store", store, "--refresh-applications", "--repo-url", s.repo.url)
	require.Contains(t, out, "apps/qwen-small/dgdr.yaml: Application argocd/qwen-small is refreshed")
	s.settled(t, "qwen-small", commit)
	s.live(t, qwen)
}
