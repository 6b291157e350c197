package main

import (
	"archive/zip"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The sidecar's image is the same bytes wherever and whenever it is built: of a copy of
// the sources with other times, under another umask, home, scratch directory and
// settings of Go. FULL=1 compiles everything anew, which takes minutes.
func TestPluginImageIsReproducible(t *testing.T) {
	dir := t.TempDir()
	here, elsewhere := filepath.Join(dir, "here"), filepath.Join(dir, "elsewhere")
	require.NoError(t, buildPlugin(t.Context(), here, []string{platform}))

	t.Chdir(sources(t))
	for _, variable := range []string{"GOMODCACHE", "GOCACHE"} {
		t.Setenv(variable, output(t, "go", "env", variable)) // else they are below HOME
	}
	if os.Getenv("FULL") != "" {
		t.Setenv("GOCACHE", t.TempDir())
	}
	settings := filepath.Join(dir, "env")
	require.NoError(t, os.WriteFile(settings, []byte("GOFLAGS=-gcflags=-N\nGOARM64=v9.0\n"), 0o644))
	for variable, value := range map[string]string{
		"HOME": t.TempDir(), "TMPDIR": t.TempDir(), "TZ": "Pacific/Apia", "LANG": "de_DE.UTF-8", "SOURCE_DATE_EPOCH": "1700000000",
		"GOENV": settings, "GOFLAGS": "-tags=kustomize_disable_go_plugin_support", "GOAMD64": "v3", "CGO_ENABLED": "1", "GOEXPERIMENT": "nogreenteagc",
	} {
		t.Setenv(variable, value)
	}
	umask := syscall.Umask(0o077)
	err := buildPlugin(t.Context(), elsewhere, []string{platform})
	syscall.Umask(umask)
	require.NoError(t, err)
	require.Equal(t, digest(t, here), digest(t, elsewhere))
	require.Equal(t, read(t, here+".cdx.json"), read(t, elsewhere+".cdx.json"))
}

// What pip installs for the runner's image does not tell which Python ran pip. The
// package is one with a command.
func TestPackagesAreReproducible(t *testing.T) {
	if os.Getenv("DYNAMO_CMP_IMAGES") == "" {
		t.Skip("needs pip; make e2e-images sets DYNAMO_CMP_IMAGES")
	}
	dir := t.TempDir()
	wheel := filepath.Join(dir, "demo-1.0-py3-none-any.whl")
	writeWheel(t, wheel)
	requirements := filepath.Join(dir, "requirements.txt")
	pin := fmt.Sprintf("demo==1.0 --hash=sha256:%x\n", sha256.Sum256([]byte(read(t, wheel))))
	require.NoError(t, os.WriteFile(requirements, []byte(pin), 0o644))
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", dir)
	python := output(t, "python3", "-c", "import sys; print(sys.executable)")
	install := func(name string) map[string]string {
		packages := filepath.Join(dir, name)
		require.NoError(t, runner{python: "3.12"}.install(t.Context(), environment{name: "demo", requirements: requirements, packages: packages}))
		held := map[string]string{}
		for _, file := range files(t, packages) {
			held[file] = read(t, filepath.Join(packages, file))
		}
		return held
	}
	here := install("here")
	require.Equal(t, []string{
		"demo-1.0.dist-info/INSTALLER", "demo-1.0.dist-info/METADATA", "demo-1.0.dist-info/RECORD", "demo-1.0.dist-info/REQUESTED",
		"demo-1.0.dist-info/WHEEL", "demo-1.0.dist-info/entry_points.txt", "demo/__init__.py",
	}, slices.Sorted(maps.Keys(here)))

	other := filepath.Join(dir, "venv")
	require.NoError(t, exec.Command(python, "-m", "venv", "--without-pip", "--system-site-packages", other).Run())
	t.Setenv("PATH", filepath.Join(other, "bin")+":"+os.Getenv("PATH"))
	require.NotEqual(t, python, output(t, "python3", "-c", "import sys; print(sys.executable)"))
	require.Equal(t, here, install("elsewhere"))
}

func writeWheel(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	require.NoError(t, err)
	w := zip.NewWriter(f)
	for _, e := range [][2]string{
		{"demo/__init__.py", "def main(): pass\n"},
		{"demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"},
		{"demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"demo-1.0.dist-info/entry_points.txt", "[console_scripts]\ndemo = demo:main\n"},
		{"demo-1.0.dist-info/RECORD", "demo/__init__.py,,\ndemo-1.0.dist-info/METADATA,,\ndemo-1.0.dist-info/WHEEL,,\n"},
	} {
		entry, err := w.Create(e[0])
		require.NoError(t, err)
		_, err = entry.Write([]byte(e[1]))
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(w.Close(), f.Close()))
}

// sources is a copy of what Git tracks, as of another day.
func sources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	top := output(t, "git", "rev-parse", "--show-toplevel")
	for name := range strings.SplitSeq(strings.TrimRight(output(t, "git", "-C", top, "ls-files", "-z"), "\x00"), "\x00") {
		from, to := filepath.Join(top, name), filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		if target, err := os.Readlink(from); err == nil {
			require.NoError(t, os.Symlink(target, to))
			continue
		}
		require.NoError(t, os.WriteFile(to, []byte(read(t, from)), 0o600))
		require.NoError(t, os.Chtimes(to, time.Time{}, time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)))
	}
	return dir
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}

func output(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.Command(command[0], command[1:]...).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
