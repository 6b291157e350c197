package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/require"
)

const platform = "linux/" + runtime.GOARCH

// The sidecar's image, unpacked, renders an application as Argo CD's user with nothing
// else on the machine.
func TestPluginImageRenders(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, buildPlugin(t.Context(), filepath.Join(dir, "a"), []string{platform}))
	components := bom(t, filepath.Join(dir, "a.cdx.json"))
	require.Contains(t, strings.Join(components, " "), "pkg:golang/sigs.k8s.io/kustomize/api@v0.")
	require.NotContains(t, strings.Join(components, " "), "client-go@")

	img := only(t, filepath.Join(dir, "a"))
	config, err := img.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "999:999", config.Config.User)
	root := filepath.Join(dir, "root")
	require.NoError(t, os.Mkdir(root, 0o755))
	unpack(t, img, root)
	require.Equal(t, []string{"usr/local/bin/dynamo-cmp"}, files(t, root))
	if os.Getuid() != 0 {
		t.Skip("only root may change the root directory")
	}
	require.NoError(t, exec.Command("cp", "-r", "../examples/gitops-repo", filepath.Join(root, "repo")).Run())
	require.NoError(t, os.Mkdir(filepath.Join(root, "repo/.git"), 0o755))
	cmd := exec.Command(config.Config.Entrypoint[0], "generate", "/repo/apps/llama-70b", "--cache-dir", "")
	cmd.Env, cmd.Dir = config.Config.Env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 999, Gid: 999}}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, os.Chmod(dir, 0o755))
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.Contains(t, string(out), "\nkind: DynamoGraphDeployment\n")
}

// The runner's image, unpacked, profiles a request: with its own binary and its own
// AIConfigurator, and this machine's Python in the place of the base's.
func TestRunnerImageProfiles(t *testing.T) {
	if os.Getenv("DYNAMO_CMP_IMAGES") == "" {
		t.Skip("takes a minute; make e2e-images sets DYNAMO_CMP_IMAGES")
	}
	venv, err := filepath.Abs("../.venv")
	require.NoError(t, err)
	aiperf := os.Getenv("DYNAMO_CMP_AIPERF_PYTHON")
	require.NotEmpty(t, aiperf, "a Python with aiperf")
	tool, version := sitePackages(t, venv)
	bench, _ := sitePackages(t, filepath.Dir(filepath.Dir(aiperf)))
	python, err := filepath.EvalSymlinks(filepath.Join(venv, "bin/python"))
	require.NoError(t, err)

	dir := t.TempDir()
	require.NoError(t, write(filepath.Join(dir, "base"), map[string]v1.Image{"linux/amd64": empty.Image}, []string{"linux/amd64"}))
	b := runner{base: "oci-layout:" + filepath.Join(dir, "base"), python: version, aiconfigurator: tool, aiperf: bench}
	t.Chdir("..") // requirements are read below it
	require.NoError(t, b.build(t.Context(), filepath.Join(dir, "image")))
	components := bom(t, filepath.Join(dir, "image.cdx.json"))
	require.Contains(t, components, "pkg:pypi/aiconfigurator@0.12.0")
	require.Contains(t, components, "pkg:pypi/aiperf@0.13.0")
	img := only(t, filepath.Join(dir, "image"))
	root := filepath.Join(dir, "root")
	require.NoError(t, os.Mkdir(root, 0o755))
	unpack(t, img, root)

	repo := filepath.Join(dir, "repo")
	require.NoError(t, exec.Command("cp", "-r", "examples/gitops-repo", repo).Run())
	require.NoError(t, os.RemoveAll(filepath.Join(repo, "apps/qwen-small/dynamo.lock")))
	require.NoError(t, os.Mkdir(filepath.Join(repo, ".git"), 0o755))
	for _, e := range b.environments() {
		env := filepath.Join(root, e.root())
		link, err := os.Readlink(filepath.Join(env, "bin/python3"))
		require.NoError(t, err)
		require.Equal(t, basePython, link)
		settings := "home = " + filepath.Dir(python) + "\n"
		require.NoError(t, errors.Join(
			os.Remove(filepath.Join(env, "bin/python3")), os.Symlink(python, filepath.Join(env, "bin/python3")),
			os.WriteFile(filepath.Join(env, "pyvenv.cfg"), []byte(settings), 0o644),
		))
	}
	config, err := img.ConfigFile()
	require.NoError(t, err)
	cmd := exec.Command(filepath.Join(root, config.Config.Entrypoint[0]), "run", filepath.Join(repo, "apps/qwen-small"),
		"--store", "oci-layout:"+filepath.Join(dir, "store"))
	for _, e := range config.Config.Env {
		e = strings.ReplaceAll(e, "/tmp", filepath.Join(dir, "tmp"))
		cmd.Env = append(cmd.Env, strings.ReplaceAll(e, "/opt/", root+"/opt/"))
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "profiled")
	require.FileExists(t, filepath.Join(repo, "apps/qwen-small/dynamo.lock"))

	measure := exec.Command(filepath.Join(root, "opt/aiperf/bin/aiperf"), "--version")
	measure.Env = cmd.Env
	out, err = measure.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "0.13.0\n", string(out))
}

// bom is what a list of components names, in its order.
func bom(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	var list cdx.BOM
	require.NoError(t, cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&list))
	var names []string
	for _, c := range *list.Components {
		names = append(names, c.PackageURL)
	}
	return names
}

// sitePackages is the directory of an environment's packages, and its Python's version.
func sitePackages(t *testing.T, environment string) (dir, version string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(environment, "lib/python3*/site-packages"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0], strings.TrimPrefix(filepath.Base(filepath.Dir(found[0])), "python")
}

// Both ways to build stand on the same base.
func TestDockerfileHasTheBase(t *testing.T) {
	data, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(data), "FROM "+defaultBase+" AS dynamo-profile-runner")
	for _, e := range (runner{}).environments() {
		require.Contains(t, string(data), e.root()+"/bin:")
		require.Contains(t, string(data), "COPY "+e.requirements+" ")
	}
}

func digest(t *testing.T, dir string) string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	d, err := index.Digest()
	require.NoError(t, err)
	return d.String()
}

// only is the one image of a layout.
func only(t *testing.T, dir string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	img, err := index.Image(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	return img
}

// unpack writes the file system of an image into a directory.
func unpack(t *testing.T, img v1.Image, root string) {
	t.Helper()
	stream := mutate.Extract(img)
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		path := filepath.Join(root, h.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch h.Typeflag {
		case tar.TypeDir:
			require.NoError(t, os.MkdirAll(path, 0o755))
		case tar.TypeSymlink:
			require.NoError(t, os.Symlink(h.Linkname, path))
		case tar.TypeReg:
			f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, os.FileMode(h.Mode))
			require.NoError(t, err)
			_, err = io.Copy(f, r)
			require.NoError(t, errors.Join(err, f.Close()))
		default:
			t.Fatalf("%s is of type %c", h.Name, h.Typeflag)
		}
	}
}

// files are the files below a directory.
func files(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, p)
			found = append(found, rel)
		}
		return err
	}))
	return found
}
