package profile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

// addFiles makes seeds of files, and of those in txtar archives.
func addFiles(f *testing.F, pattern string) {
	f.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(f, err)
	require.NotEmpty(f, paths, pattern)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		if filepath.Ext(path) != ".txtar" {
			f.Add(data)
			continue
		}
		for _, file := range txtar.Parse(data).Files {
			f.Add(file.Data)
		}
	}
}

// FuzzParse: every error names the file and a line of it, and what is accepted is
// accepted with the same key when it is written anew.
func FuzzParse(f *testing.F) {
	addFiles(f, "testdata/request_*.txtar")
	addFiles(f, "testdata/document_syntax.txtar")
	addFiles(f, "../examples/gitops-repo/apps/*/dgdr.yaml")
	for _, seed := range []string{
		keyBase, thoroughBase, "", "a: &a [*a]", "x: &x {a: 1}\ny: {<<: [*x, *x]}\n---\n- 1\n", "%YAML 1.1\n---\n? {a: b}\n: c\n",
		"{\"apiVersion\":\"nvidia.com/v1alpha1\",\"kind\":\"DynamoGraphDeploymentRequest\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"profilingConfig\":{\"config\":{\"sla\":[]}}}}",
		keyBase + "  features: {planner: {enabled: yes}, mocker: !!bool x}\n  overrides: {dgd: {a: ~}}\n", "a:\n\t- b\r\n...\n",
	} {
		f.Add([]byte(seed))
	}
	hardware := &HardwareFile{File: "hardware.yaml", Hardware: Hardware{GPUSKU: "l4", TotalGPUs: 8, GPUsPerNode: 8}}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Documents("f.yaml", data)
		checkProblems(t, data, err)
		for _, d := range docs {
			req, err := Parse(d, Defaults{Hardware: hardware})
			checkProblems(t, data, err)
			if err != nil {
				continue
			}
			require.Positive(t, req.Inputs().Hardware.TotalGPUs)
			again, err := Parse(rewritten(t, d), Defaults{Hardware: hardware})
			require.NoError(t, err)
			require.Equal(t, string(req.Inputs().Canonical()), string(again.Inputs().Canonical()))
			require.Equal(t, req.Inputs().Key(), again.Inputs().Key())
			require.Equal(t, req.DGDName(), again.DGDName())
		}
	})
}

// FuzzHardware: what is read of a hardware file is what the fields of it say.
func FuzzHardware(f *testing.F) {
	addFiles(f, "../examples/gitops-repo/hardware.yaml")
	addFiles(f, "testdata/hardware_file.txtar")
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseHardware("f.yaml", data)
		checkProblems(t, data, err)
		if err != nil {
			require.Nil(t, h)
			return
		}
		docs, err := Documents("f.yaml", data)
		require.NoError(t, err)
		again, err := ParseHardware("f.yaml", encoded(t, docs[0]))
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}

// FuzzConfig: a config that is accepted says the same when it is written anew.
func FuzzConfig(f *testing.F) {
	addFiles(f, "testdata/config/*.txtar")
	versions := []string{"1.4", "1.5"}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Documents("f.yaml", data)
		checkProblems(t, data, err)
		for _, d := range docs {
			c, err := ParseConfig(d, versions)
			checkProblems(t, data, err)
			if err != nil {
				continue
			}
			again, err := ParseConfig(rewritten(t, d), versions)
			require.NoError(t, err)
			c.Line, c.lines, again.Line, again.lines = 0, nil, 0, nil
			require.Equal(t, c, again)
		}
	})
}

// FuzzResult: a stored result is read and written without a loss, in one form.
func FuzzResult(f *testing.F) {
	whole, err := fullResult().Encode()
	require.NoError(f, err)
	f.Add(whole)
	stored, err := os.ReadFile("../examples/gitops-repo/.dynamo-cmp/store/blobs/sha256/fdd1dc1a02361010201a4bd746466eaa28bfbe161a61eee98fc4cda1798347a4")
	require.NoError(f, err)
	f.Add(stored)
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := ParseResult(data)
		if err != nil {
			require.Regexp(t, "^(decoding|checking) result: ", err.Error())
			return
		}
		first, err := res.Encode()
		require.NoError(t, err)
		again, err := ParseResult(first)
		require.NoError(t, err)
		second, err := again.Encode()
		require.NoError(t, err)
		require.Equal(t, string(first), string(second))
		require.Equal(t, res.Inputs.Key(), again.Inputs.Key())
	})
}

// rewritten is the document as it reads once it has been written anew.
func rewritten(t *testing.T, d Document) Document {
	t.Helper()
	docs, err := Documents(d.File, encoded(t, d))
	require.NoError(t, err)
	require.Len(t, docs, 1)
	return docs[0]
}

func encoded(t *testing.T, d Document) []byte {
	t.Helper()
	data, err := yaml.Marshal(d.Root)
	require.NoError(t, err)
	return data
}

// checkProblems holds that an error is a list of problems, each of them in the file.
func checkProblems(t *testing.T, data []byte, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var problems Problems
	require.True(t, errors.As(err, &problems), "%T", err)
	require.NotEmpty(t, problems)
	for _, p := range problems {
		require.NotEmpty(t, p.Message)
		require.Equal(t, "f.yaml", p.File)
		require.LessOrEqual(t, p.Line, 2+strings.Count(string(data), "\n")+strings.Count(string(data), "\r"))
	}
}
