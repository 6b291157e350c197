package render

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// App is a directory as far as a render of it reads: the files that Load asks for, and
// not the lock or the store.
type App struct {
	Dir      string
	Files    []string // relative to the root, sorted
	Requests bool     // some file of it mentions a DGDR

	component bool
}

// App says what a render of a directory reads. A directory that does not exist reads
// nothing; what is wrong with one, Load says.
func (t *Tree) App(dir string) App {
	a := App{Dir: dir}
	names, err := t.list(dir)
	if err != nil {
		return a
	}
	if slices.ContainsFunc(names, isKustomization) {
		c := readClosure(t, dir)
		a.Files = slices.Collect(maps.Keys(c.used))
		a.Requests = c.mention
		a.component = len(c.layers) > 0 && c.layers[0].spec.Kind == types.ComponentKind
	} else {
		for _, name := range names {
			if !isManifestFile(name) {
				continue
			}
			file := path.Join(dir, name)
			a.Files = append(a.Files, file)
			data, err := t.Read(file)
			a.Requests = a.Requests || err != nil || mentionsRequest(data) // Load says why it is unread
		}
	}
	if len(a.Files) == 0 {
		return a
	}
	if file, ok := t.hardware(dir); ok {
		a.Files = append(a.Files, file)
	}
	slices.Sort(a.Files)
	return a
}

// hardware is the file that defaults of a directory come from.
func (t *Tree) hardware(dir string) (string, bool) {
	for up := path.Clean(dir); ; up = path.Dir(up) {
		name := path.Join(up, hardwareFile)
		if _, err := t.stat(name); !errors.Is(err, fs.ErrNotExist) {
			return name, err == nil
		}
		if up == "." {
			return "", false
		}
	}
}

// Apps finds the directories at and below dir that are rendered on their own because
// they hold a DGDR, in their order: not hidden ones and testdata, and not the bases,
// components and patches of other apps, unless they hold a file of the name alone,
// such as the lock.
func (t *Tree) Apps(dir, alone string) ([]App, error) {
	var apps []App
	err := fs.WalkDir(t.files, path.Clean(dir), func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", p, cause(err))
		case !d.IsDir():
			return nil
		case p != path.Clean(dir) && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		}
		if a := t.App(p); a.Requests {
			apps = append(apps, a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, a := range apps {
		for _, file := range a.Files {
			if by := path.Dir(file); by != a.Dir && path.Base(file) != hardwareFile {
				used[by] = true
			}
		}
	}
	return slices.DeleteFunc(apps, func(a App) bool {
		if !a.component && !used[a.Dir] {
			return false
		}
		_, err := t.stat(path.Join(a.Dir, alone))
		return err != nil
	}), nil
}
