package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
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

// OpenEmbedded opens the store that a file system carries, such as that of a commit, to
// read from it: the nearest .dynamo-cmp/store at dir or above. Messages say it is below
// root. Where there is none, ok is false.
func OpenEmbedded(files fs.FS, root, dir string, o Options) (s *Store, ok bool) {
	place, ok := embeddedIn(files, dir)
	if !ok {
		return nil, false
	}
	sub, err := fs.Sub(files, place)
	if err != nil {
		return nil, false
	}
	return &Store{backend: &layout{dir: filepath.Join(root, filepath.FromSlash(place)), files: sub}, local: newLocalDir(o.LocalDir)}, true
}

func embeddedIn(files fs.FS, dir string) (place string, ok bool) {
	for at := path.Clean(dir); ; at = path.Dir(at) {
		place := path.Join(at, embeddedDir)
		if info, err := fs.Stat(files, place); err == nil && info.IsDir() {
			return place, true
		}
		if at == "." {
			return "", false
		}
	}
}

// EmbeddedFiles names the files that hold a result in the store which OpenEmbedded would
// open, whether they are there or not: its manifest and, where that can be read, what it
// lists. Without a store there are none.
func EmbeddedFiles(files fs.FS, dir string, d Digest) []string {
	place, ok := embeddedIn(files, dir)
	if _, err := ParseDigest(string(d)); !ok || err != nil {
		return nil
	}
	names := []string{path.Join(place, blobsDir, d.hex())}
	data, err := readFrom(files, names[0], maxManifest)
	var m v1.Manifest
	if err != nil || len(data) > maxManifest || json.Unmarshal(data, &m) != nil {
		return names
	}
	for _, layer := range m.Layers {
		if at, err := ParseDigest(layer.Digest.String()); err == nil {
			names = append(names, path.Join(place, blobsDir, at.hex()))
		}
	}
	return names
}

// readFrom returns at most limit bytes of a file and one more.
func readFrom(files fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(files, name) // before opening: the open of a named pipe blocks
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: is not a regular file", name)
	}
	if err != nil {
		return nil, err
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, 0, limit)
}
