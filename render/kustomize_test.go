package render_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// extract writes the files of an archive of testdata into a repository.
func extract(t *testing.T, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	require.NoError(t, err)
	files := map[string]string{".git/HEAD": ""}
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "want.") && !strings.HasPrefix(f.Name, "result.") {
			files[f.Name] = string(f.Data)
		}
	}
	return write(t, files)
}

// answering looks every request up in the result of an archive.
func answering(t *testing.T, archive string) render.Lookup {
	t.Helper()
	res, err := profile.ParseResult(resultOf(t, archive))
	require.NoError(t, err)
	return func(context.Context, *profile.Request) (render.Answer, error) {
		return render.Answer{Result: res, Digest: "sha256:0123"}, nil
	}
}

func TestRequestsAreThoseOfTheOverlay(t *testing.T) {
	repo := extract(t, "kustomize_request_overlay")
	tree, at, err := render.OpenTree(filepath.Join(repo, "app"))
	require.NoError(t, err)
	defer tree.Close()
	src, err := tree.Load(at)
	require.NoError(t, err)
	base, err := tree.Load("base")
	require.ErrorContains(t, err, "hardware") // only the overlay says which there is
	require.Nil(t, base)
	require.Len(t, src.Requests, 1)
	req := src.Requests[0]
	require.Equal(t, "qwen-eu", req.Name)
	require.Equal(t, "base/dgdr.yaml", req.File)
	require.Equal(t, 1, req.Line)
	require.Equal(t, 10, req.Locate("spec.workload.isl"))
	require.Equal(t, 0, req.Locate("spec.sla.ttft"), "the overlay sets it, the file does not")
	require.EqualValues(t, 700, req.Inputs().SLA.TTFTMillis, "a changed SLA changes the key")
}

func TestCheckoutIsOnlyRead(t *testing.T) {
	for _, name := range []string{"kustomize_both", "kustomize_generators", "kustomize_variants"} {
		repo := extract(t, name)
		before := hashOf(t, repo)
		require.NoError(t, filepath.WalkDir(repo, func(p string, d fs.DirEntry, err error) error {
			return errors.Join(err, os.Chmod(p, map[bool]fs.FileMode{true: 0o555, false: 0o444}[d.IsDir()]))
		}))
		_, _, err := build(t, filepath.Join(repo, "app"), answering(t, "vllm_agg"))
		require.NoError(t, err)
		require.Equal(t, before, hashOf(t, repo))
		require.NoError(t, filepath.WalkDir(repo, func(p string, d fs.DirEntry, err error) error {
			return errors.Join(err, os.Chmod(p, 0o755))
		}))
	}
}

// hashOf is over the names and bytes of a directory.
func hashOf(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			io.WriteString(h, p+"\x00")
			return err
		}
		data, err := os.ReadFile(p)
		io.WriteString(h, p+"\x00"+string(data)+"\x00")
		return err
	}))
	return hex.EncodeToString(h.Sum(nil))
}

func TestLinksInKustomizations(t *testing.T) {
	outside := write(t, map[string]string{"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": "a"})
	cm := func(name string) string { return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n" }
	repo := write(t, map[string]string{
		".git/HEAD":                      "",
		"in/kustomization.yaml":          "resources: [linked, file.yaml]\n",
		"out/kustomization.yaml":         "resources: [base, a.yaml]\npatches: [{path: a.yaml}]\n",
		"round/kustomization.yaml":       "resources: [again]\n",
		"shared/base/kustomization.yaml": "resources: [../common/c.yaml]\n",
		"shared/common/c.yaml":           cm("c"),
	})
	link := func(to, name string) { require.NoError(t, os.Symlink(to, filepath.Join(repo, name))) }
	link("../shared/base", "in/linked")
	link("../shared/common/f.yaml", "in/file.yaml")
	link(filepath.Join(outside, "base"), "out/base")
	link(filepath.Join(outside, "base/a.yaml"), "out/a.yaml")
	link(".", "round/again")
	require.NoError(t, os.WriteFile(filepath.Join(repo, "shared/common/f.yaml"), []byte(cm("f")), 0o644))

	// A link is followed as kustomize follows it: what a base names is relative to
	// where the base really is.
	out, _, err := build(t, filepath.Join(repo, "in"), nil)
	require.NoError(t, err)
	require.Equal(t, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: f\n", string(out))

	_, _, err = build(t, filepath.Join(repo, "out"), nil)
	require.EqualError(t, err, "out/kustomization.yaml: resources[0]: out/base: path escapes from parent\n"+
		"out/kustomization.yaml: resources[1]: out/a.yaml: path escapes from parent\n"+
		"out/kustomization.yaml: patches[0].path: out/a.yaml: path escapes from parent")

	_, _, err = build(t, filepath.Join(repo, "round"), nil)
	require.EqualError(t, err, "round/kustomization.yaml: resources[0]: again: leads back to round, which is being built from it")
}

func TestBuildsAreBounded(t *testing.T) {
	files := map[string]string{".git/HEAD": "", "b0/kustomization.yaml": "resources: [x.yaml]\n", "b0/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"}
	for i, last := range []string{"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"} {
		name := "b" + string(rune('1'+i))
		list := strings.Repeat("../"+last+", ", 10)
		files[name+"/kustomization.yaml"] = "resources: [" + list + "]\n"
	}
	_, _, err := build(t, filepath.Join(write(t, files), "b8"), nil)
	require.ErrorContains(t, err, "builds more than 10000 resources")

	files["b0/x.yaml"] = "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata: {name: x}\n"
	_, _, err = build(t, filepath.Join(write(t, files), "b8"), nil)
	require.ErrorContains(t, err, "the build uses more than 1000 kustomizations")
}

// Builds at the same time do not share what one of them brings: kustomize's schema
// is of the process.
func TestBuildsAtOnce(t *testing.T) {
	names := []string{"kustomize_merge_patch", "kustomize_own_schema", "kustomize_merge_patch", "kustomize_both"}
	lookup := answering(t, "vllm_agg")
	var group errgroup.Group
	for _, name := range names {
		app := filepath.Join(extract(t, name), "app")
		want, _, err := build(t, app, lookup)
		require.NoError(t, err)
		group.Go(func() error {
			got, _, err := build(t, app, lookup)
			if string(want) != string(got) {
				return errors.Join(err, errors.New(name+" comes out differently"))
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
}

// TestAsKustomizeDoes holds that a directory without DGDRs is built as the command
// line tool builds it, document by document.
func TestAsKustomizeDoes(t *testing.T) {
	tool := os.Getenv("DYNAMO_CMP_KUSTOMIZE")
	if tool == "" {
		t.Skip("DYNAMO_CMP_KUSTOMIZE names no kustomize")
	}
	archives, err := filepath.Glob("testdata/parity/*.txtar")
	require.NoError(t, err)
	archives = append(archives, "testdata/kustomize_no_request.txtar")
	for _, archive := range archives {
		name := strings.TrimSuffix(strings.TrimPrefix(archive, "testdata/"), ".txtar")
		t.Run(name, func(t *testing.T) {
			app := filepath.Join(extract(t, name), "app")
			want, err := exec.Command(tool, "build", app).Output()
			require.NoError(t, err)
			got, _, err := build(t, app, nil)
			require.NoError(t, err)
			require.Equal(t, documents(t, want), documents(t, got))
		})
	}
}

// documents are those of a stream as JSON, in order.
func documents(t *testing.T, stream []byte) []string {
	t.Helper()
	var out []string
	dec := yaml.NewDecoder(strings.NewReader(string(stream)))
	for {
		var doc any
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		data, err := json.MarshalIndent(doc, "", " ")
		require.NoError(t, err)
		out = append(out, string(data))
	}
}
