package revision

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Files is what a commit holds, as a file system. Symbolic links are followed within
// the commit and refused where they lead out of it, as os.Root does. A submodule is an
// empty directory. It is for one goroutine.
type Files struct {
	repo *Repository
	top  plumbing.Hash
	dirs map[string][]object.TreeEntry // what was read, by path
}

var (
	errEscapes = errors.New("path escapes from parent") // as os.Root says it
	errLinks   = errors.New("too many levels of symbolic links")
)

// How many links a path may lead through, and how long the target of one may be, as on
// Linux. A commit may hold a link of any size.
const (
	maxLinks  = 40
	maxTarget = 4096
)

// Files returns the files of the commit.
func (c *Commit) Files() *Files {
	return &Files{c.repo, c.commit.TreeHash, map[string][]object.TreeEntry{}}
}

// entries lists a directory that is no link.
func (f *Files) entries(dir string) ([]object.TreeEntry, error) {
	if known, ok := f.dirs[dir]; ok {
		return known, nil
	}
	hash := f.top
	if dir != "." {
		e, err := f.entry(dir)
		if err != nil {
			return nil, err
		}
		switch e.Mode {
		case filemode.Dir:
		case filemode.Submodule:
			return nil, nil
		default:
			return nil, errors.New("not a directory")
		}
		hash = e.Hash
	}
	tree, err := object.GetTree(f.repo.store, hash)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", hash, err)
	}
	f.dirs[dir] = tree.Entries
	return tree.Entries, nil
}

// entry is the entry of a path no directory of which is a link.
func (f *Files) entry(name string) (object.TreeEntry, error) {
	if name == "." {
		return object.TreeEntry{Name: ".", Mode: filemode.Dir, Hash: f.top}, nil
	}
	siblings, err := f.entries(path.Dir(name))
	if err != nil {
		return object.TreeEntry{}, err
	}
	base := path.Base(name)
	i := slices.IndexFunc(siblings, func(e object.TreeEntry) bool { return e.Name == base })
	if i < 0 {
		return object.TreeEntry{}, fs.ErrNotExist
	}
	return siblings[i], nil
}

// resolve follows the links of a path, that at its end only where last says so, and
// returns where it leads.
func (f *Files) resolve(name string, last bool) (string, object.TreeEntry, error) {
	todo := strings.Split(name, "/")
	at, links := ".", 0
	e := object.TreeEntry{Name: ".", Mode: filemode.Dir, Hash: f.top}
	for len(todo) > 0 {
		next := path.Join(at, todo[0])
		todo = todo[1:]
		if next == ".." || strings.HasPrefix(next, "../") {
			return "", e, errEscapes
		}
		var err error
		if e, err = f.entry(next); err != nil {
			return "", e, err
		}
		if e.Mode != filemode.Symlink || len(todo) == 0 && !last {
			at = next
			continue
		}
		target, err := f.target(e.Hash)
		switch links++; {
		case err != nil:
			return "", e, err
		case path.IsAbs(target):
			return "", e, errEscapes
		case links > maxLinks:
			return "", e, errLinks
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return at, e, nil
}

func (f *Files) blob(hash plumbing.Hash) ([]byte, error) {
	o, err := f.repo.store.EncodedObject(plumbing.BlobObject, hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("object %s is not here: %w", hash, err)
	}
	if err != nil {
		return nil, err
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// target is where a link leads.
func (f *Files) target(hash plumbing.Hash) (string, error) {
	if size, err := f.repo.store.EncodedObjectSize(hash); err == nil && size > maxTarget {
		return "", fmt.Errorf("the target of the link is %d bytes long", size)
	}
	data, err := f.blob(hash)
	return string(data), err
}

// Hash is the hash by which Git names the content of a file; no content is read.
func (f *Files) Hash(name string) (string, error) {
	_, e, err := f.find("hash", name, true)
	return e.Hash.String(), err
}

func (f *Files) find(op, name string, last bool) (string, object.TreeEntry, error) {
	if !fs.ValidPath(name) {
		return "", object.TreeEntry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at, e, err := f.resolve(name, last)
	if err != nil {
		return "", e, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return at, e, nil
}

// Stat implements fs.StatFS.
func (f *Files) Stat(name string) (fs.FileInfo, error) { return f.info("stat", name, true) }

// Lstat implements fs.ReadLinkFS.
func (f *Files) Lstat(name string) (fs.FileInfo, error) { return f.info("lstat", name, false) }

func (f *Files) info(op, name string, last bool) (fs.FileInfo, error) {
	_, e, err := f.find(op, name, last)
	if err != nil {
		return nil, err
	}
	e.Name = path.Base(name)
	return info{f, e}, nil
}

// ReadLink implements fs.ReadLinkFS.
func (f *Files) ReadLink(name string) (string, error) {
	_, e, err := f.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if e.Mode != filemode.Symlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	target, err := f.target(e.Hash)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return target, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *Files) ReadDir(name string) ([]fs.DirEntry, error) {
	at, _, err := f.find("readdir", name, true)
	if err != nil {
		return nil, err
	}
	entries, err := f.entries(at)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	list := make([]fs.DirEntry, len(entries))
	for i, e := range entries {
		list[i] = fs.FileInfoToDirEntry(info{f, e})
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Open implements fs.FS. Directories are listed by ReadDir.
func (f *Files) Open(name string) (fs.File, error) {
	_, e, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	opened := &file{info: info{f, e}, Reader: bytes.NewReader(nil)}
	if opened.Mode().IsRegular() {
		data, err := f.blob(e.Hash)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		opened.Reader = bytes.NewReader(data)
	}
	return opened, nil
}

// file is an open file.
type file struct {
	*bytes.Reader
	info info
}

func (f *file) Mode() fs.FileMode          { return f.info.Mode() }
func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// info is what a tree says of an entry. A commit knows no times.
type info struct {
	files *Files
	entry object.TreeEntry
}

func (i info) Name() string       { return i.entry.Name }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.Mode().IsDir() }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	switch i.entry.Mode {
	case filemode.Dir, filemode.Submodule:
		return fs.ModeDir | 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Executable:
		return 0o755
	}
	return 0o644
}

// Size is 0 where the object is not here.
func (i info) Size() int64 {
	if i.Mode().IsDir() {
		return 0
	}
	size, err := i.files.repo.store.EncodedObjectSize(i.entry.Hash)
	if err != nil {
		return 0
	}
	return size
}
