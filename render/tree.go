package render

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
)

// Caps on what is read of a checkout: a pull request may hold anything.
const (
	maxFileBytes  = 4 << 20
	maxTotalBytes = 32 << 20
	maxFiles      = 10_000
)

// MaxNesting is how many levels of directories a search goes down: each step looks for
// the repository above it, which costs the square of the depth.
const MaxNesting = 100

// Tree is a read-only view of a checkout or a commit, confined to its root: a symbolic
// link that leads out of it is refused, and so is a file larger than 4 MiB.
type Tree struct {
	root  string
	files Files
	close func() error
}

// Files is a file system that refuses every path that leads out of it, as that of an
// os.Root does.
type Files interface {
	fs.ReadLinkFS
	fs.StatFS
	fs.ReadDirFS
}

// NewTree is a view of other files than those of a directory, such as a commit's. The
// root is the directory that they would be in.
func NewTree(files Files, root string) *Tree {
	return &Tree{root, files, func() error { return nil }}
}

func newTree(root *os.Root) *Tree {
	return &Tree{root.Name(), root.FS().(Files), root.Close}
}

// OpenTree opens the checkout that dir belongs to and returns dir relative to
// its root. The root is the nearest directory at or above dir that has a .git
// entry; without one it is dir itself.
func OpenTree(dir string) (*Tree, string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", fmt.Errorf("%s: finding the repository: %w", dir, err)
	}
	root := abs
	for up := abs; ; up = filepath.Dir(up) {
		if _, err := os.Lstat(filepath.Join(up, ".git")); err == nil {
			root = up
			break
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil {
		return nil, "", fmt.Errorf("%s: finding the repository: %w", dir, err)
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, "", fmt.Errorf("%s: opening the repository: %w", dir, cause(err))
	}
	t := newTree(r)
	info, err := r.Stat(rel)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("%s: %w", dir, cause(err)), t.Close())
	}
	return t, filepath.ToSlash(rel), nil
}

// Root returns the absolute path of the root.
func (t *Tree) Root() string {
	return t.root
}

// Files are what the view is of.
func (t *Tree) Files() Files {
	return t.files
}

// Close releases the view.
func (t *Tree) Close() error {
	return t.close()
}

// Read returns the bytes of a file, named relative to the root. A missing file
// is fs.ErrNotExist.
func (t *Tree) Read(name string) ([]byte, error) {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return nil, fmt.Errorf("%q: has a control character in its name; to have it read, rename it", name)
	}
	return read(name, func() (fs.FileInfo, error) { return t.stat(name) }, func() (fs.File, error) { return t.files.Open(path.Clean(name)) })
}

// ReadFile returns the bytes of a file that is named from outside of a checkout, as by a
// flag. What is no regular file, and what is larger than a Tree's files may be, is refused.
func ReadFile(name string) ([]byte, error) {
	return read(name, func() (fs.FileInfo, error) { return os.Stat(name) }, func() (fs.File, error) { return os.Open(name) })
}

// read looks before it opens a file, as the open of a named pipe waits for a writer.
func read(name string, stat func() (fs.FileInfo, error), open func() (fs.File, error)) ([]byte, error) {
	info, err := stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, cause(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s: is %d bytes, more than the %d allowed", name, info.Size(), maxFileBytes)
	}
	f, err := open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: reading: %w", name, cause(err))
	}
	if len(data) > maxFileBytes { // it has grown, or its size was not known, as in /proc
		return nil, fmt.Errorf("%s: is more than the %d bytes allowed", name, maxFileBytes)
	}
	return data, nil
}

// stat follows links. A path that is outside by its spelling is no path to the files.
func (t *Tree) stat(name string) (fs.FileInfo, error) {
	if name = path.Clean(name); !fs.ValidPath(name) {
		return nil, errors.New("path escapes from parent")
	}
	return t.files.Stat(name)
}

// maxLinks is how many links a path may lead through, as on Linux.
const maxLinks = 40

// resolve follows the links in a path and returns where it leads, relative to the
// root, which it may not leave.
func (t *Tree) resolve(name string) (string, error) {
	todo := strings.Split(path.Clean(name), "/")
	at, links := ".", 0
	for len(todo) > 0 {
		next := path.Join(at, todo[0])
		todo = todo[1:]
		if next == ".." || strings.HasPrefix(next, "../") {
			return "", fmt.Errorf("%s: leads out of the repository", name)
		}
		info, err := t.files.Lstat(next)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, cause(err))
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := t.files.ReadLink(next)
		links++
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", name, cause(err))
		case path.IsAbs(target):
			return "", fmt.Errorf("%s: leads out of the repository", name)
		case links > maxLinks:
			return "", fmt.Errorf("%s: leads through too many links", name)
		}
		todo = append(strings.Split(path.Clean(target), "/"), todo...)
	}
	return at, nil
}

// list returns the names of the regular files and links directly in dir, sorted.
func (t *Tree) list(dir string) ([]string, error) {
	entries, err := t.files.ReadDir(path.Clean(dir))
	if err != nil {
		return nil, fmt.Errorf("%s: listing: %w", dir, cause(err))
	}
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("%s: holds more than %d files", dir, maxFiles)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// cause drops the operation and the path that os puts before an error: the
// caller names the file as the user knows it.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
