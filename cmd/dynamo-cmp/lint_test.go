package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Every planted mistake is found by its rule at its line, and nothing else.
func TestLintFindsMistakes(t *testing.T) {
	repos := mistakes(t)
	require.Greater(t, len(repos), 40)
	caught := map[string]bool{}
	for name, files := range repos {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want := plant(t, dir, files)
			found, err := lint(t.Context(), []string{dir})
			require.NoError(t, err)
			got := []string{}
			for _, f := range found {
				if f.Rule != "lock-missing" || strings.HasPrefix(name, "lock") {
					got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Rule))
				}
				require.NotEmpty(t, f.Message)
				require.NotEmpty(t, f.Remedy)
				caught[f.Rule] = true
			}
			require.ElementsMatch(t, want, slices.Compact(got), "%v", found)
		})
	}
	for _, r := range lintRules() {
		if !caught[r.id] && !slices.Contains(rulesElsewhere(), r.id) {
			t.Errorf("no mistake is planted for rule %s", r.id)
		}
	}
}

// rulesElsewhere need results, which testdata/lint_results.txtar has, or are what
// remains where no other rule fits.
func rulesElsewhere() []string {
	return []string{"result-missing", "result-tampered", "result-mismatch", "sla-missed", "result-warning", "render",
		"request", "features", "hardware-file", "advice"}
}

// mistakes are the files of the repositories in the archive.
func mistakes(t *testing.T) map[string]map[string][]byte {
	archive, err := txtar.ParseFile("testdata/lint/mistakes.txtar")
	require.NoError(t, err)
	repos := map[string]map[string][]byte{}
	for _, f := range archive.Files {
		repo, name, _ := strings.Cut(f.Name, "/")
		if repos[repo] == nil {
			repos[repo] = map[string][]byte{}
		}
		repos[repo][name] = f.Data
	}
	return repos
}

var planted = regexp.MustCompile(`# ! (.*)`)

// plant writes the files and returns the findings that their comments demand.
func plant(t *testing.T, dir string, files map[string][]byte) []string {
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
	want := strings.FieldsFunc(string(files["want"]), func(r rune) bool { return r == '\n' })
	for name, data := range files {
		if name == "want" {
			continue
		}
		if bytes.Contains(data, []byte("$KEY")) {
			data = bytes.ReplaceAll(data, []byte("$KEY"), []byte(keyOf(t, files["dgdr.yaml"])))
		}
		for i, line := range strings.Split(string(data), "\n") {
			if m := planted.FindStringSubmatch(line); m != nil {
				want = append(want, fmt.Sprintf("%s:%d %s", name, i+1, m[1]))
			}
		}
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, data, 0o644))
	}
	return want
}

func keyOf(t *testing.T, dgdr []byte) profile.Key {
	docs, err := profile.Documents("dgdr.yaml", dgdr)
	require.NoError(t, err)
	req, err := profile.Parse(docs[0], profile.Defaults{})
	require.NoError(t, err)
	return req.Inputs().Key()
}

// Of the examples, lint says what is so: DeepSeek-R1 waits for a cluster, planners
// scale by throughput, and Llama's budget is smaller than its least deployment.
func TestLintExamples(t *testing.T) {
	found, err := lint(t.Context(), []string{"../../examples/gitops-repo"})
	require.NoError(t, err)
	got := []string{}
	for _, f := range found {
		got = append(got, strings.TrimPrefix(f.File, "examples/gitops-repo/apps/")+" "+f.Rule)
	}
	require.Equal(t, []string{
		"deepseek-r1/dgdr.yaml lock-missing",
		"deepseek-r1/dgdr.yaml planner-ignores-sla",
		"llama-70b/dgdr.yaml result-warning",
		"llama-70b/dgdr.yaml result-warning",
		"llama-70b/dgdr.yaml planner-ignores-sla",
		"llama-70b/dgdr.yaml planner-ignores-load",
	}, got)
}

// The seed's examples leave hardware to discovery, which needs a cluster, and hold
// placeholders.
func TestLintSeed(t *testing.T) {
	doc, err := os.ReadFile("../../../shared/reference/deployment-overview.md")
	if os.IsNotExist(err) {
		t.Skip("the reference is not beside the repository")
	}
	require.NoError(t, err)
	dir := t.TempDir()
	for i, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(doc, -1) {
		if bytes.Contains(m[1], []byte("kind: DynamoGraphDeploymentRequest\n")) {
			app := filepath.Join(dir, fmt.Sprint(i))
			require.NoError(t, os.Mkdir(app, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(app, "dgdr.yaml"), m[1], 0o644))
		}
	}
	rules := func() map[string]int {
		found, err := lint(t.Context(), []string{dir})
		require.NoError(t, err)
		count := map[string]int{}
		for _, f := range found {
			count[f.Rule]++
		}
		return count
	}
	require.Equal(t, map[string]int{"hardware-missing": 3}, rules())
	hardware := "apiVersion: dynamo-cmp.github.io/v1\nkind: Hardware\nspec: {gpuSku: h200_sxm, totalGpus: 8, numGpusPerNode: 8}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hardware.yaml"), []byte(hardware), 0o644))
	require.Equal(t, map[string]int{"lock-missing": 3, "placeholder": 2, "planner-ignores-sla": 2, "planner-ignores-load": 1}, rules())
}

// The list of rules is written from the table.
func TestLintRules(t *testing.T) {
	const path = "../../docs/lint.md"
	var b strings.Builder
	b.WriteString(`# Lint

<!-- Written by go test ./cmd/dynamo-cmp -update from the tables in cmd/dynamo-cmp/lint_*.go. -->

` + "`dynamo-cmp lint [PATH...]`" + ` reads DGDRs, kustomizations, ` + "`dynamo.lock`, `hardware.yaml`" + `, DynamoCMPConfigs and policy files, and says of each mistake where it is, by which rule it is one, and what to do. It uses no network and no cluster. Results are looked at where the repository carries them, in ` + "`.dynamo-cmp/store`" + `.

An error is what ` + "`generate`, `run` or `verify`" + ` refuse; a warning is what they accept although it hardly does what its author means. The exit status is 1 if there is an error, 2 for bad usage, and else 0. ` + "`--output json` and `--output sarif`" + ` are for programs; code scanning takes the latter.

| rule | severity | holds without the mistake | remedy |
|---|---|---|---|
`)
	seen := map[string]bool{}
	for _, r := range lintRules() {
		require.False(t, seen[r.id], r.id)
		seen[r.id] = true
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.id, r.severity, r.about, r.remedy)
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(got), "to write it anew: go test ./cmd/dynamo-cmp -update")
}
