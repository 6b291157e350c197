package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var changelogDigest = regexp.MustCompile("Rendered examples: `([^`]+)`")

// An upgrade renders the examples as before, or CHANGELOG.md says that it does
// not: its first digest is that of what testdata/generate_example.txtar expects.
func TestUpgradeIsListed(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "generate_example.txtar"))
	require.NoError(t, err)
	hash := sha256.New()
	rendered := 0
	for _, f := range archive.Files {
		if filepath.Ext(f.Name) == ".yaml" {
			hash.Write(f.Data)
			rendered += bytes.Count(f.Data, []byte("\nkind: ")) // each manifest has one
		}
	}
	require.Equal(t, 3, rendered)
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	require.NoError(t, err)
	listed := changelogDigest.FindSubmatch(changelog)
	require.NotNil(t, listed, "CHANGELOG.md lists no digest")
	require.Equal(t, fmt.Sprintf("sha256:%x", hash.Sum(nil)), string(listed[1]),
		"the examples render differently: say what changes for users in CHANGELOG.md, and put the new digest there")
}
