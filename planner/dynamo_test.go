package planner_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// loaded is the answer of Dynamo's class to one configuration.
type loaded struct {
	Config map[string]any
	Error  string
}

// dynamo runs testdata/load_config.py with the class of ai-dynamo 1.5.1.
func dynamo(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	python := os.Getenv("DYNAMO_CMP_DYNAMO")
	if python == "" {
		t.Skip("DYNAMO_CMP_DYNAMO names no Python with testdata/requirements-dynamo.txt")
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{"testdata/load_config.py"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return out
}

// load gives every configuration to PlannerConfig.
func load(t *testing.T, configs []string) []loaded {
	t.Helper()
	var in bytes.Buffer
	for _, config := range configs {
		require.NoError(t, json.Compact(&in, []byte(config)))
		in.WriteByte('\n')
	}
	out := dynamo(t, in.Bytes())

	var answers []loaded
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var answer loaded
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &answer))
		answers = append(answers, answer)
	}
	require.Len(t, answers, len(configs))
	return answers
}

// TestDynamoFields holds the fields, their spellings and their order against the
// class: what it gains with an upgrade is missed here first.
func TestDynamoFields(t *testing.T) {
	require.Equal(t, string(dynamo(t, nil, "fields")), strings.Join(planner.FieldLines(), "\n")+"\n")
}

// TestDynamoDefaults holds the recorded defaults, on which the goldens rest,
// against the class.
func TestDynamoDefaults(t *testing.T) {
	data, err := os.ReadFile("testdata/defaults.json")
	require.NoError(t, err)
	require.Equal(t, decode(t, string(data)), load(t, []string{"{}"})[0].Config)
}

// TestDynamoLoads gives the class every configuration that the cases and the
// goldens emit; it reads the goldens' as the comparison does.
func TestDynamoLoads(t *testing.T) {
	var names, configs []string
	add := func(name string, req *profile.Request, res *profile.Result) {
		built, err := planner.Build(req, res, "demo-dgd")
		if err != nil || built == nil {
			return
		}
		names = append(names, name)
		configs = append(configs, built.ConfigMaps[0].Data["planner_config.json"])
	}
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		res, err := profile.ParseResult(archive.Files[1].Data)
		require.NoError(t, err)
		add(file, parse(t, file, archive.Files[0].Data), res)
	}
	cases := len(configs)
	require.Greater(t, cases, 10)
	if _, err := os.Stat(goldens); err == nil {
		for _, dir := range plannerGoldens(t) {
			add(dir, goldenRequest(t, dir), goldenResult(t, dir))
		}
	}
	for i, answer := range load(t, configs) {
		require.Empty(t, answer.Error, names[i])
		if i >= cases {
			require.Equal(t, expand(t, configs[i]), answer.Config, names[i])
		}
	}
}

// TestDynamoAgrees holds Check against the class: what Check accepts it loads,
// what it refuses Check refuses, and where Check is the stricter the table says.
func TestDynamoAgrees(t *testing.T) {
	var names, configs []string
	var refused []bool
	add := func(name, text string, bad bool) {
		var m map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &m))
		data, err := json.Marshal(m)
		require.NoError(t, err)
		names, configs, refused = append(names, name), append(configs, string(data)), append(refused, bad)
	}
	for _, c := range badConfigs() {
		add(c.name, c.yaml, !c.ours)
	}
	for _, text := range goodConfigs() {
		add(text, text, false)
	}
	for i, answer := range load(t, configs) {
		require.Equal(t, refused[i], answer.Error != "", "%s: %s", names[i], answer.Error)
	}
}
