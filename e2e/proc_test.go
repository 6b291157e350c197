package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plugins are the dynamo-cmp processes that a server started and that still run.
func plugins(server int) []int {
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, e := range entries {
		data, err := os.ReadFile(e)
		if err != nil {
			continue // it ended
		}
		var pid, parent int
		var name, state string
		fmt.Sscan(string(data), &pid, &name, &state, &parent)
		if parent == server && name == "(dynamo-cmp)" && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// residentKiB is the memory that a process holds now; 0 once it ended.
func residentKiB(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	var kib int
	fmt.Sscan(rest, &kib)
	return kib
}

// filesBelow lists the files of a directory, by their path in it.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // it is being removed
		}
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	require.NoError(t, err)
	return files
}
