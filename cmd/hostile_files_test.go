package cmd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostileFiles are what Git or an archive may hold in the place of a file.
func hostileFiles() []hostileCase {
	pipe := func(at string) error { return syscall.Mkfifo(at, 0o644) }
	// /dev/zero and its like; only root makes one.
	device := func(at string) error {
		if err := syscall.Mknod(at, syscall.S_IFCHR|0o644, 1<<8|5); err != syscall.EPERM {
			return err
		}
		return pipe(at)
	}
	socket := func(at string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	}
	directory := func(at string) error { return os.MkdirAll(filepath.Join(at, "x"), 0o755) }
	huge := func(at string) error {
		f, err := os.Create(at)
		if err != nil {
			return err
		}
		return f.Truncate(5 << 30) // sparse
	}
	var all []hostileCase
	for _, thing := range []struct {
		title string
		make  func(string) error
		want  string
	}{
		{"a pipe", pipe, "not a regular file"}, {"a device", device, "not a regular file"}, {"a directory", directory, ""}, {"a huge file", huge, "more than the"},
	} {
		for _, name := range []string{"extra.yaml", "dynamo.lock", "hardware.yaml", "kustomization.yaml", ".dynamo-cmp/store/index.json"} {
			want := thing.want
			switch {
			case name == ".dynamo-cmp/store/index.json": // nothing of a store but an index
				want = "not found"
			case thing.title == "a directory" && name != "extra.yaml":
				want = "not a regular file"
			}
			if thing.title == "a directory" && name == "kustomization.yaml" {
				want = "" // it is none, and the files beside it are rendered
			}
			all = append(all, hostileCase{name + " is " + thing.title, func(t *testing.T, _, app, _ string) bool {
				replace(t, filepath.Join(app, name), thing.make)
				return false
			}, want})
		}
	}
	return append(all,
		hostileCase{"a socket", func(t *testing.T, _, app, _ string) bool {
			short, err := os.MkdirTemp("", "s") // as the path of a socket has to be
			require.NoError(t, err)
			defer os.RemoveAll(short)
			require.NoError(t, socket(filepath.Join(short, "s")))
			replace(t, filepath.Join(app, "s.yaml"), func(at string) error { return os.Rename(filepath.Join(short, "s"), at) })
			return false
		}, "not a regular file"},
		hostileCase{"a blob that is a pipe", func(t *testing.T, repo, _, _ string) bool {
			blobs, err := filepath.Glob(filepath.Join(repo, ".dynamo-cmp/store/blobs/sha256/*"))
			require.NoError(t, err)
			for _, blob := range blobs {
				replace(t, blob, pipe)
			}
			return false
		}, "not a regular file"},
		hostileCase{"directories 300 deep", func(t *testing.T, _, app, _ string) bool {
			put(t, filepath.Join(app, strings.Repeat("d/", 300), "dgdr.yaml"), "x")
			return true
		}, ""},
		hostileCase{"a submodule", func(t *testing.T, repo, app, _ string) bool {
			put(t, filepath.Join(repo, ".gitmodules"), "[submodule \"x\"]\n\tpath = apps/llama-70b/sub\n\turl = -u./evil\n\tupdate = !touch /tmp/"+outsideSecret+"\n")
			git(t, repo, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",apps/llama-70b/sub.yaml")
			require.NoError(t, os.Mkdir(filepath.Join(app, "sub.yaml"), 0o755))
			return true
		}, ""},
		hostileCase{"twins in all but case", func(t *testing.T, _, app, _ string) bool {
			data, err := os.ReadFile(filepath.Join(app, "dgdr.yaml"))
			require.NoError(t, err)
			put(t, filepath.Join(app, "DGDR.yaml"), string(data))
			return true
		}, `"llama-70b" is already the name of the DGDR at apps/llama-70b/DGDR.yaml:`},
		hostileCase{"twelve thousand files", func(t *testing.T, _, app, _ string) bool {
			for i := range 12_000 {
				require.NoError(t, os.WriteFile(filepath.Join(app, fmt.Sprintf("f%d.yaml", i)), nil, 0o644))
			}
			return false
		}, "holds more than 10000 files"},
		hostileCase{"a file that nobody may read", func(t *testing.T, _, app, _ string) bool {
			if os.Geteuid() == 0 {
				t.Skip("root reads every file")
			}
			put(t, filepath.Join(app, "extra.yaml"), "x")
			require.NoError(t, os.Chmod(filepath.Join(app, "extra.yaml"), 0))
			return false
		}, "permission denied"},
	)
}

// hostileTexts are names and values that a terminal or a log would obey.
func hostileTexts() []hostileCase {
	const escape = "\x1b[2J\x1b]0;x\x07"
	file := func(title, name, data, want string) hostileCase {
		return hostileCase{title, func(t *testing.T, _, app, _ string) bool {
			put(t, filepath.Join(app, name), data)
			return true
		}, want}
	}
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"a\\e[31m\\r\\n::error::x\"}\n"
	return []hostileCase{
		file("a name of two lines", "a\n::error::x.yaml", object, "control character in its name"),
		file("a name that clears the screen", escape+".yaml", object, "control character in its name"),
		file("a directory that clears the screen", escape+"/dgdr.yaml", "kind: DynamoGraphDeploymentRequest", ""),
		file("a field that clears the screen", "extra.yaml", "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata: {name: x}\nspec: {\"\\e[2J\\r\\n::error::x\": 1}\n", "unknown field"),
		file("a value that clears the screen", "extra.yaml", "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata: {name: \"\\e[2J\"}\nspec: {model: \"\\e[2J\\r\\n::error::x\"}\n", "must be"),
		file("an object that clears the screen", "extra.yaml", object, ""),
		file("a lock that clears the screen", "dynamo.lock", "apiVersion: dynamo-cmp.github.io/v1\nkind: ProfileLock\nprofiles:\n- {name: \"\\e[2J\\n::error::x\", \"\\e[31m\": 1, key: ../../x, result: \"sha256:../../../../x\", confidence: a, profiler: b}\n", "dynamo.lock"),
	}
}
