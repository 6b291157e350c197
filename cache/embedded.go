package cache

import (
	"os"
	"path/filepath"
)

// embeddedDir is where a repository keeps results of its own.
const embeddedDir = ".dynamo-cmp/store"

// Embedded is the reference of the store that a repository carries: the nearest
// .dynamo-cmp/store at dir (a slash path below root) or above it, never above
// root and never through a symbolic link that leaves it; where there is none,
// the one to be made at root.
func Embedded(root, dir string) string {
	confined, err := os.OpenRoot(root)
	if err != nil {
		return layoutPrefix + filepath.Join(root, embeddedDir) // opening it says why
	}
	defer confined.Close()
	for at := filepath.FromSlash(dir); ; at = filepath.Dir(at) {
		store := filepath.Join(at, embeddedDir)
		if info, err := confined.Stat(store); err == nil && info.IsDir() || at == "." {
			return layoutPrefix + filepath.Join(root, store)
		}
	}
}
