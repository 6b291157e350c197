package render_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestCases renders the archives of testdata. result.json answers every request,
// or that of the archive which result.of names; dgd-version is the version to
// render; want.* is what comes out; every other file is the repository, of which
// app/ is rendered.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "override_") {
			continue // the cases of applyOverride alone
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			got := txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				if !strings.HasPrefix(f.Name, "want.") {
					got.Files = append(got.Files, f)
				}
			}
			got.Files = append(got.Files, outcome(t, got.Files)...)
			if *update {
				require.NoError(t, os.WriteFile(file, txtar.Format(&got), 0o644))
				return
			}
			require.Equal(t, string(txtar.Format(archive)), string(txtar.Format(&got)))
		})
	}
}

// outcome renders a repository twice and returns the one result.
func outcome(t *testing.T, files []txtar.File) []txtar.File {
	t.Helper()
	repo := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(repo, ".git"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(repo, "app"), 0o755))
	var result []byte
	version := ""
	for _, f := range files {
		if f.Name == "result.json" {
			result = f.Data
			continue
		}
		if f.Name == "dgd-version" {
			version = strings.TrimSpace(string(f.Data))
			continue
		}
		if f.Name == "result.of" {
			result = resultOf(t, strings.TrimSpace(string(f.Data)))
			continue
		}
		path := filepath.Join(repo, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.Data, 0o644))
	}
	lookup := func(_ context.Context, req *profile.Request) (render.Answer, error) {
		if result == nil {
			return render.Answer{}, errors.New(req.File + ": no result for " + req.Name)
		}
		res, err := profile.ParseResult(result)
		return render.Answer{Result: res, Digest: "sha256:0123"}, err
	}
	out, warnings, err := buildIn(t, version, filepath.Join(repo, "app"), lookup)
	again, _, _ := buildIn(t, version, filepath.Join(repo, "app"), lookup)
	require.Equal(t, string(out), string(again))
	if err != nil {
		require.Empty(t, out)
		return []txtar.File{{Name: "want.err", Data: []byte(err.Error() + "\n")}}
	}
	want := []txtar.File{{Name: "want.yaml", Data: out}}
	if len(warnings) > 0 {
		want = append(want, txtar.File{Name: "want.warnings", Data: []byte(warnings.Error() + "\n")})
	}
	return want
}

func resultOf(t *testing.T, name string) []byte {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	require.NoError(t, err)
	for _, f := range archive.Files {
		if f.Name == "result.json" {
			return f.Data
		}
	}
	t.Fatalf("%s has no result.json", name)
	return nil
}

func build(t *testing.T, dir string, lookup render.Lookup) ([]byte, profile.Problems, error) {
	t.Helper()
	return buildIn(t, "", dir, lookup)
}

func buildIn(t *testing.T, version, dir string, lookup render.Lookup) ([]byte, profile.Problems, error) {
	t.Helper()
	tree, at, err := render.OpenTree(dir)
	require.NoError(t, err)
	defer tree.Close()
	src, err := tree.Load(at)
	if err != nil {
		return nil, nil, err
	}
	src.DGDVersion = version
	out, err := render.Build(context.Background(), src, lookup)
	return out, src.Warnings, err
}
