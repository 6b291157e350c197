package profile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// TestConfigCases reads the files of the archives, each followed by what comes out:
// the config, the capabilities of a hardware file, or every problem.
func TestConfigCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/config/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			require.NoError(t, err)
			got := txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				if filepath.Ext(f.Name) == ".yaml" {
					want := txtar.File{Name: f.Name[:len(f.Name)-len(".yaml")] + ".want", Data: []byte(configOutcome(t, f))}
					got.Files = append(got.Files, f, want)
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(path, txtar.Format(&got), 0o644))
				return
			}
			require.Equal(t, string(txtar.Format(archive)), string(txtar.Format(&got)))
		})
	}
}

func configOutcome(t *testing.T, f txtar.File) string {
	t.Helper()
	docs, err := Documents(f.Name, f.Data)
	require.NoError(t, err)
	require.Len(t, docs, 1)
	if !docs[0].IsConfig() {
		hardware, err := ParseHardware(f.Name, f.Data)
		if err != nil {
			return err.Error() + "\n"
		}
		return dump(hardware.Capabilities)
	}
	c, err := ParseConfig(docs[0], []string{"1.4", "1.5"})
	if err != nil {
		return err.Error() + "\n"
	}
	return dump(c)
}

func TestConfigProblemsHavePlaces(t *testing.T) {
	docs, err := Documents("app/cmp.yaml", []byte("# where\napiVersion: dynamo-cmp.github.io/v1\nkind: DynamoCMPConfig\nspec:\n  queue: fast\n"))
	require.NoError(t, err)
	c, err := ParseConfig(docs[0], nil)
	require.NoError(t, err)
	require.Equal(t, "app/cmp.yaml:5: spec.queue: is full", c.Problem("spec.queue", "is full").String())
	require.Equal(t, "app/cmp.yaml:4: spec.benchmark: is missing", c.Problem("spec.benchmark", "is missing").String())
}
