package render

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OpenTreeIn opens the checkout that dir belongs to, like OpenTree, where its root
// is known to be at or below top: without a .git entry on the way it is top.
func OpenTreeIn(top, dir string) (*Tree, string, error) {
	t, rel, err := OpenTree(dir)
	if err != nil {
		return nil, "", err
	}
	within := t.Root() == top || strings.HasPrefix(t.Root(), strings.TrimSuffix(top, "/")+"/")
	if _, err := os.Lstat(filepath.Join(t.Root(), ".git")); err == nil && within {
		return t, rel, nil
	}
	abs := filepath.Join(t.Root(), filepath.FromSlash(rel))
	if err := t.Close(); err != nil {
		return nil, "", err
	}
	if rel, err = filepath.Rel(top, abs); err != nil || !filepath.IsLocal(rel) {
		return nil, "", fmt.Errorf("%s: is not below %s", dir, top)
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, "", fmt.Errorf("%s: opening the repository: %w", dir, cause(err))
	}
	return newTree(root), filepath.ToSlash(rel), nil
}
