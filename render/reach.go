package render

import (
	"maps"
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/types"
)

// Reach is what the kustomization in a directory builds from, as far as it can be
// read.
type Reach struct {
	Requests  bool     // some file of it mentions a DGDR
	Component bool     // it is a part of other kustomizations and not built alone
	Dirs      []string // of everything that it reads, but its own; sorted
}

// Reach follows the kustomization in a directory without building it. It is nil
// where none stands there. What is wrong with the kustomization, Load says.
func (t *Tree) Reach(dir string) *Reach {
	names, err := t.list(dir)
	if err != nil || !slices.ContainsFunc(names, isKustomization) {
		return nil
	}
	c := readClosure(t, dir)
	dirs := map[string]bool{}
	for file := range c.used {
		dirs[path.Dir(file)] = true
	}
	delete(dirs, dir)
	return &Reach{
		Requests:  c.mention,
		Component: len(c.layers) > 0 && c.layers[0].spec.Kind == types.ComponentKind,
		Dirs:      slices.Sorted(maps.Keys(dirs)),
	}
}
