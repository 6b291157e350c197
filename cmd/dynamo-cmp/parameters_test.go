package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// plugin is what this test reads of a ConfigManagementPlugin.
type plugin struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Generate   command
		Discover   *struct{ Find command }
		Parameters struct {
			Static  []any
			Dynamic command
		}
	}
}

type command struct{ Command, Args []string }

// Both forms of the plugin name the same commands, which exist, and announce
// what the command line announces. None has a version, which would become part of
// the name that Applications have to use.
func TestPluginFiles(t *testing.T) {
	for path, discovers := range map[string]bool{
		"../../plugin.yaml": false,
		"../../examples/gitops-repo/platform/argocd/plugin-discover.yaml": true,
	} {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var p plugin
		dec := yaml.NewDecoder(bytes.NewReader(data))
		dec.KnownFields(true)
		require.NoError(t, dec.Decode(&p), path)
		require.Equal(t, "argoproj.io/v1alpha1", p.APIVersion)
		require.Equal(t, "ConfigManagementPlugin", p.Kind)
		require.Equal(t, "dynamo-cmp", p.Metadata.Name)
		commands := []command{p.Spec.Generate, p.Spec.Parameters.Dynamic}
		require.Equal(t, discovers, p.Spec.Discover != nil, path)
		if discovers {
			commands = append(commands, p.Spec.Discover.Find)
		}
		for _, c := range commands {
			require.Len(t, c.Command, 2)
			require.Equal(t, "dynamo-cmp", c.Command[0])
			require.Empty(t, c.Args)
			found, rest, err := newRootCommand().Find(c.Command[1:])
			require.NoError(t, err)
			require.Empty(t, rest)
			require.Equal(t, c.Command[1], found.Name())
		}
		announced, err := json.Marshal(announcements())
		require.NoError(t, err)
		static, err := json.Marshal(p.Spec.Parameters.Static)
		require.NoError(t, err)
		require.JSONEq(t, string(announced), string(static), path)
	}
}

// The example Applications name the plugin and say only what they may.
func TestExampleApplications(t *testing.T) {
	paths, err := filepath.Glob("../../examples/gitops-repo/applications/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var app struct {
			Spec struct {
				Source struct {
					Path   string
					Plugin struct {
						Name       string
						Parameters []any
					}
				}
			}
		}
		require.NoError(t, yaml.Unmarshal(data, &app))
		source := app.Spec.Source
		require.Equal(t, "dynamo-cmp", source.Plugin.Name, path)
		require.DirExists(t, filepath.Join("../../examples/gitops-repo", source.Path))
		params, err := json.Marshal(source.Plugin.Parameters)
		require.NoError(t, err)
		require.NoError(t, (&options{}).narrow([]string{argoParameters + "=" + string(params)}), path)
	}
}

// The reference is written from the table.
func TestReference(t *testing.T) {
	const path = "../../docs/reference-parameters.md"
	want := reference()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "to write it anew: go test ./cmd/dynamo-cmp -update")
}

func reference() string {
	var b strings.Builder
	b.WriteString(`# Settings

<!-- Written by go test ./cmd/dynamo-cmp -update from the table in cmd/dynamo-cmp/settings.go. -->

A setting is a flag of ` + "`dynamo-cmp generate` and `render`" + `, and a variable of the environment, which a flag overrides.
What an Application may set, it sets as a parameter, and a policy can only be made stricter than the operator's.

| flag | variable | type | default | an Application may set it | meaning |
|---|---|---|---|---|---|
`)
	for _, s := range settings() {
		flag := s.flag()
		def, application := flag.DefValue, "no"
		switch {
		case s.name == "cache-dir": // the machine's
			def = "dynamo-cmp/results below the user's cache directory; none without one"
		case def == "" || def == "[]":
			def = "empty"
		default:
			def = "`" + def + "`"
		}
		if s.narrow != nil {
			application = "yes"
		}
		kind := strings.ReplaceAll(flag.Value.Type(), "stringSlice", "list")
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s | %s |\n", s.name, variable(s.name), kind, def, application, s.help)
	}
	b.WriteString(`
In an Application:

` + "```yaml" + `
spec:
  source:
    plugin:
      name: dynamo-cmp
      parameters:
`)
	for _, s := range settings() {
		switch {
		case s.narrow == nil:
		case s.list():
			fmt.Fprintf(&b, "        - name: %s\n          array: [measured, simulated]\n", s.name)
		default:
			fmt.Fprintf(&b, "        - name: %s\n          string: \"true\"\n", s.name)
		}
	}
	b.WriteString("```" + `

` + "`plugin.env` does the same with the names of the variables (`DYNAMO_CMP_ALLOW`, a comma between the values). Whatever else an Application says, and every value of another type, is refused with exit status 2.\n")
	return b.String()
}
