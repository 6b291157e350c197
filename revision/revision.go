// Package revision shows the commits of a Git repository as file systems.
//
// It reads the objects where they are: nothing is checked out, no process is
// started, no hook or filter of the repository runs, and nothing is written.
package revision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// Repository is a Git repository with a worktree.
type Repository struct {
	root  string
	store objects
}

// maxObject bounds an object in memory: four times what a file may hold that is rendered,
// and a directory of a quarter million entries.
const maxObject = 16 << 20

// objects are those of a repository, without what is too large. A few bytes of a push
// can make a gigabyte.
type objects struct{ *filesystem.Storage }

// EncodedObject implements storer.EncodedObjectStorer. What is above the threshold of
// the storage is not read before its Reader is.
func (o objects) EncodedObject(t plumbing.ObjectType, hash plumbing.Hash) (plumbing.EncodedObject, error) {
	found, err := o.Storage.EncodedObject(t, hash)
	if err == nil && found.Size() > maxObject {
		return nil, fmt.Errorf("object %s is %d bytes, more than the %d allowed", hash, found.Size(), maxObject)
	}
	return found, err
}

// Open opens the repository whose worktree holds path, which need not exist: the
// nearest .git entry at or above it counts, a directory or, in a linked worktree
// or a submodule, the file that names one.
func Open(path string) (*Repository, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: finding the repository: %w", path, err)
	}
	for root := abs; ; root = filepath.Dir(root) {
		git := filepath.Join(root, ".git")
		if info, err := os.Stat(git); err == nil {
			files, err := gitFiles(root, git, info)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", git, err)
			}
			store := filesystem.NewStorageWithOptions(files, cache.NewObjectLRUDefault(), filesystem.Options{LargeObjectThreshold: maxObject})
			return &Repository{root, objects{store}}, nil
		}
		if root == filepath.Dir(root) {
			return nil, fmt.Errorf("%s: no Git repository here or above", path)
		}
	}
}

// gitFiles is the directory of the repository itself (gitrepository-layout(5)): a
// linked worktree keeps its HEAD apart from the objects that it shares.
func gitFiles(root, git string, info fs.FileInfo) (billy.Filesystem, error) {
	if !info.IsDir() {
		data, err := readPath(git)
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir: ")
		if !ok {
			return nil, errors.New("names no gitdir")
		}
		git = from(root, name)
	}
	own := osfs.New(git)
	data, err := readPath(filepath.Join(git, "commondir"))
	if errors.Is(err, fs.ErrNotExist) {
		return own, nil
	}
	if err != nil {
		return nil, err
	}
	return dotgit.NewRepositoryFilesystem(own, osfs.New(from(git, strings.TrimSpace(string(data))))), nil
}

// readPath reads a file that holds a path and little else.
func readPath(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 2*maxTarget {
		return nil, fmt.Errorf("%s: is no file of at most %d bytes", file, 2*maxTarget)
	}
	return os.ReadFile(file)
}

// from is a path that is relative to a directory or absolute.
func from(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// Root is the absolute path of the worktree.
func (r *Repository) Root() string {
	return r.root
}

// BlobHash is the hash by which Git names a file of these bytes.
func BlobHash(data []byte) string {
	return plumbing.ComputeHash(plumbing.BlobObject, data).String()
}
