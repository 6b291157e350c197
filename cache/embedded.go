package cache

import (
	"os"
	"path/filepath"
)

// embeddedDir is where a repository keeps results of its own.
const embeddedDir = ".dynamo-cmp/store"

// Embedded is the reference of the store that a repository carries: the nearest
// .dynamo-cmp/store at dir (a slash path below root) or above it, never above
// root; where there is none, the one to be made at root.
func Embedded(root, dir string) string {
	at := filepath.Join(root, filepath.FromSlash(dir))
	for {
		store := filepath.Join(at, embeddedDir)
		if info, err := os.Stat(store); err == nil && info.IsDir() {
			return layoutPrefix + store
		}
		if at == filepath.Clean(root) || at == filepath.Dir(at) {
			return layoutPrefix + filepath.Join(root, embeddedDir)
		}
		at = filepath.Dir(at)
	}
}
