package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each case is a file before and after a move to Dynamo 1.6.1: all but the versions
// stays to the byte.
func TestMoved(t *testing.T) {
	for _, c := range []struct{ name, before, after string }{
		{"an image keeps its registry, its port, its variant and the comment",
			"spec:\n    image:   registry.example.com:5000/m/dynamo-planner:v1.5.1-cuda13   # was dynamo-planner:1.5.1\n",
			"spec:\n    image:   registry.example.com:5000/m/dynamo-planner:v1.6.1-cuda13   # was dynamo-planner:1.5.1\n"},
		{"a candidate becomes the release", "image: 'a/vllm-runtime:1.6.1-rc1'\n", "image: 'a/vllm-runtime:1.6.1'\n"},
		{"a request's image has any name", requestOf("image: a/planner:1.5.1, model: é"), requestOf("image: a/planner:1.6.1, model: é")},
		{"an override", requestOf("runtimeVersionOverride: \"1.5.1\", image: a/dynamo-planner:prod"), requestOf("runtimeVersionOverride: \"1.6.1\", image: a/dynamo-planner:prod")},
		{"a tag of its own beside an override", requestOf("image: a/dynamo-planner:2.0.0, runtimeVersionOverride: 1.5.1"), requestOf("image: a/dynamo-planner:2.0.0, runtimeVersionOverride: 1.6.1")},
		{"an image of v1alpha1", requestOf("profilingConfig: {profilerImage: a/b:1.5.1}, deploymentOverrides: {workersImage: a/c:1.5.1}"),
			requestOf("profilingConfig: {profilerImage: a/b:1.6.1}, deploymentOverrides: {workersImage: a/c:1.6.1}")},
		{"a config", "kind: DynamoCMPConfig\nspec:\n  dynamoVersion: \"1.5\" # ours\n", "kind: DynamoCMPConfig\nspec:\n  dynamoVersion: \"1.6\" # ours\n"},
		{"images of a kustomization, two on a line",
			"images: [{name: a/vllm-runtime, newTag: 1.5.1}, {name: x, newName: a/sglang-runtime, newTag: '1.5.1'}, {name: vllm-runtime, newName: other, newTag: 1.5.1}]\n",
			"images: [{name: a/vllm-runtime, newTag: 1.6.1}, {name: x, newName: a/sglang-runtime, newTag: '1.6.1'}, {name: vllm-runtime, newName: other, newTag: 1.5.1}]\n"},
		{"patches within a kustomization",
			"patches:\n  - patch: |-\n      # of all\n      kind: DynamoGraphDeploymentRequest\n      spec:\n        image: a/b:1.5.1\n  - patch: |\n      - {op: replace, path: /spec/runtimeVersionOverride, value: 1.5.1}\n",
			"patches:\n  - patch: |-\n      # of all\n      kind: DynamoGraphDeploymentRequest\n      spec:\n        image: a/b:1.6.1\n  - patch: |\n      - {op: replace, path: /spec/runtimeVersionOverride, value: 1.6.1}\n"},
		{"documents after the first, and line ends of Windows", "a: 1\r\n---\r\nb: [x, m/sglang-runtime:1.5.1]\r\n", "a: 1\r\n---\r\nb: [x, m/sglang-runtime:1.6.1]\r\n"},
		{"what is no release, nobody's or pinned stays", "a: a/vllm-runtime:main\nb: a/vllm:1.5.1\nc: a/vllm-runtime\nd: 1.5.1\ne: a/vllm-runtime:1.5.1@sha256:00\n",
			"a: a/vllm-runtime:main\nb: a/vllm:1.5.1\nc: a/vllm-runtime\nd: 1.5.1\ne: a/vllm-runtime:1.5.1@sha256:00\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			edits, err := moved([]byte(c.before), "1.6.1")
			require.NoError(t, err)
			got, err := applied([]byte(c.before), edits)
			require.NoError(t, err)
			require.Equal(t, c.after, string(got))
			again, err := moved(got, "1.6.1")
			require.NoError(t, err)
			require.Empty(t, again)
		})
	}
}

func requestOf(spec string) string {
	return "kind: DynamoGraphDeploymentRequest\nspec: {" + spec + "}\n"
}

func TestNamed(t *testing.T) {
	block := "kind: DynamoGraphDeploymentRequest\nspec:\n    # the model\n    model: m\n"
	for before, after := range map[string]string{
		"a: 1\n---\n" + block:              "a: 1\n---\n" + strings.Replace(block, "model: m", "image: i:1.6.1\n    model: m", 1),
		"\n\n" + requestOf(`"model": "m"`): "\n\n" + requestOf(`"image": "i:1.6.1", "model": "m"`),
	} {
		e, ok := named([]byte(before), 3, "i:1.6.1")
		require.True(t, ok)
		got, err := applied([]byte(before), []edit{e})
		require.NoError(t, err)
		require.Equal(t, after, string(got))
	}
	_, ok := named([]byte(requestOf("image: i")), 1, "i:1.6.1")
	require.False(t, ok)
}

// Text that does not stand in the file as it reads is left to its author.
func TestEditsOfOddScalars(t *testing.T) {
	odd := "image: \"a/vllm-runtime\\x3a1.5.1\"\n"
	edits, err := moved([]byte(odd), "1.6.1")
	require.NoError(t, err)
	_, err = applied([]byte(odd), edits)
	require.EqualError(t, err, `line 1: "a/vllm-runtime:1.5.1" is written over several lines, or in escapes; change it by hand`)
}
