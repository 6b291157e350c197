package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// Every example that has a result is among those whose render is held to the byte
// by testdata/generate_example.txtar, and by CHANGELOG.md through its digest.
func TestExamplesAreHeld(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "generate_example.txtar"))
	require.NoError(t, err)
	held := map[string]bool{}
	for _, f := range archive.Files {
		held[f.Name] = true
	}
	locks, err := filepath.Glob("../../examples/gitops-repo/apps/*/dynamo.lock")
	require.NoError(t, err)
	require.NotEmpty(t, locks)
	for _, lock := range locks {
		app := filepath.Base(filepath.Dir(lock))
		require.True(t, held[app+".yaml"], "the render of apps/%s is not in testdata/generate_example.txtar", app)
		require.Contains(t, string(archive.Comment), "exits 0 generate apps/"+app+"\ncmp stdout ../"+app+".yaml\n")
	}
	applications, err := os.ReadDir("../../examples/gitops-repo/apps")
	require.NoError(t, err)
	for _, app := range applications {
		require.FileExists(t, filepath.Join("../../examples/gitops-repo/applications", app.Name()+".yaml"))
	}
}
