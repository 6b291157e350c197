package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// block is the first block of docs/fleet.md below a heading.
func block(t *testing.T, heading, language string) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/fleet.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(data), "\n## "+heading+"\n")
	require.True(t, found, heading)
	_, text, found = strings.Cut(text, "```"+language+"\n")
	require.True(t, found, heading)
	text, _, _ = strings.Cut(text, "```\n")
	return text
}

const exampleLock = "../../examples/gitops-repo/apps/llama-70b/dynamo.lock"

// The promotion steps of the documentation, by the rules of Kargo: yaml-update (its
// schema yaml-update-config.json) takes a path, and updates with a key of names and
// indexes that addresses a scalar, whose line it rewrites from the value on.
func TestKargoPromotesLock(t *testing.T) {
	var template struct {
		Steps []struct {
			Uses, As string
			Config   struct {
				Path    string
				Outputs []struct {
					Name           string
					FromExpression string `yaml:"fromExpression"`
				}
				Updates []struct{ Key, Value string }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(block(t, "Kargo", "yaml")), &template))
	data, err := os.ReadFile(exampleLock)
	require.NoError(t, err)
	from, err := cache.ParseLock("staging", data)
	require.NoError(t, err)
	target := regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(string(data), strings.Repeat("0", 64))
	target = strings.ReplaceAll(strings.ReplaceAll(target, "simulated", "naive"), "0.12.0", "0.11.0")
	outputs := map[string]string{}
	for _, step := range template.Steps {
		for _, o := range step.Config.Outputs {
			key := strings.NewReplacer("[", ".", "]", "").Replace(o.FromExpression)
			outputs[fmt.Sprintf("${{ outputs.%s.%s }}", step.As, o.Name)] = scalar(t, string(data), key).Value
		}
		for _, u := range step.Config.Updates {
			require.Equal(t, "yaml-update", step.Uses)
			require.Contains(t, outputs, u.Value)
			node := scalar(t, target, u.Key)
			lines := strings.Split(target, "\n")
			lines[node.Line-1] = lines[node.Line-1][:node.Column-1] + outputs[u.Value]
			target = strings.Join(lines, "\n")
		}
	}
	promoted, err := cache.ParseLock("production", []byte(target))
	require.NoError(t, err)
	require.Equal(t, from, promoted)
}

// scalar is the node that a dotted key addresses.
func scalar(t *testing.T, text, key string) *yaml.Node {
	t.Helper()
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
	node := doc.Content[0]
	for _, part := range strings.Split(key, ".") {
		if node.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(part)
			require.NoError(t, err)
			node = node.Content[i]
			continue
		}
		var next *yaml.Node
		for i := 0; i < len(node.Content); i += 2 {
			if node.Content[i].Value == part {
				next = node.Content[i+1]
			}
		}
		require.NotNil(t, next, key)
		node = next
	}
	require.Equal(t, yaml.ScalarNode, node.Kind, key)
	return node
}

// The custom managers of the documentation find what they mean. Renovate runs RE2, as
// Go does; a pattern for file names stands between slashes.
func TestRenovateFindsVersions(t *testing.T) {
	var config struct {
		CustomManagers []struct {
			CustomType          string
			ManagerFilePatterns []string
			MatchStrings        []string
			DatasourceTemplate  string
		}
		PackageRules []struct {
			PostUpgradeTasks struct{ Commands, FileFilters []string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(block(t, "Renovate", "json")), &config))
	lock, err := os.ReadFile(exampleLock)
	require.NoError(t, err)
	dgdr := func(image string) string {
		return "spec:\n  model: acme/m\n  image: " + image + " # ours\n  backend: vllm\n"
	}
	for _, c := range []struct{ file, text, datasource, name, value string }{
		{"apps/llama-70b/dynamo.lock", string(lock), "pypi", "aiconfigurator", "0.12.0"},
		{"apps/llama-70b/dgdr.yaml", dgdr("nvcr.io/nvidia/ai-dynamo/dynamo-planner:1.5.1"), "docker", "nvcr.io/nvidia/ai-dynamo/dynamo-planner", "1.5.1"},
		{"dgdr.yaml", dgdr("registry.example.com:5000/dynamo-planner:1.5.1"), "docker", "registry.example.com:5000/dynamo-planner", "1.5.1"},
	} {
		found := 0
		for _, m := range config.CustomManagers {
			require.Equal(t, "regex", m.CustomType)
			pattern := strings.TrimSuffix(strings.TrimPrefix(m.ManagerFilePatterns[0], "/"), "/")
			if !regexp.MustCompile(pattern).MatchString(c.file) {
				continue
			}
			re := regexp.MustCompile(m.MatchStrings[0])
			groups := re.FindStringSubmatch(c.text)
			require.NotNil(t, groups, c.file)
			require.Equal(t, c.datasource, m.DatasourceTemplate)
			require.Equal(t, c.name, groups[re.SubexpIndex("depName")])
			require.Equal(t, c.value, groups[re.SubexpIndex("currentValue")])
			found++
		}
		require.Equal(t, 1, found, c.file)
	}
	command := strings.Fields(config.PackageRules[0].PostUpgradeTasks.Commands[0])
	cmd, rest, err := newRootCommand(io.Discard).Find(command[1:])
	require.NoError(t, err)
	require.NoError(t, cmd.ParseFlags(rest))
	require.Equal(t, "run", cmd.Name())
}

// The picture of the documentation is what the command makes of the example repository.
func TestReportPicture(t *testing.T) {
	plots := t.TempDir()
	var stderr bytes.Buffer
	require.Zero(t, execute(t.Context(), []string{"report", "../../examples/gitops-repo/apps/qwen-small", "--plots", plots}, io.Discard, &stderr), &stderr)
	want, err := os.ReadFile(filepath.Join(plots, "qwen-small-pareto.svg"))
	require.NoError(t, err)
	const picture = "../../docs/report-pareto.svg"
	if *update {
		require.NoError(t, os.WriteFile(picture, want, 0o644))
	}
	got, err := os.ReadFile(picture)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "docs/report-pareto.svg is another; to make it: go test ./cmd/dynamo-profile-runner -run TestReportPicture -update")
}
