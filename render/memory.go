package render

import (
	"fmt"
	"path"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// memory is the file system that kustomize reads: files by absolute path and
// nothing else. (kyaml's own refuses names that repositories have.) Everything
// but reading happens in the empty file system that it embeds.
type memory struct {
	filesys.FileSystem
	files       map[string][]byte
	directories map[string]bool
}

func newMemory() *memory {
	return &memory{FileSystem: filesys.MakeFsInMemory(), files: map[string][]byte{}, directories: map[string]bool{"/": true}}
}

// add puts a file at a path below the root.
func (m *memory) add(place string, data []byte) {
	name := path.Join("/", place)
	m.files[name] = data
	for dir := path.Dir(name); !m.directories[dir]; dir = path.Dir(dir) {
		m.directories[dir] = true
	}
}

// ReadFile implements filesys.FileSystem.
func (m *memory) ReadFile(name string) ([]byte, error) {
	if data, ok := m.files[path.Join("/", name)]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("'%s' doesn't exist", name)
}

// IsDir implements filesys.FileSystem.
func (m *memory) IsDir(name string) bool {
	return m.directories[path.Join("/", name)]
}

// Exists implements filesys.FileSystem.
func (m *memory) Exists(name string) bool {
	_, ok := m.files[path.Join("/", name)]
	return ok || m.IsDir(name)
}

// CleanedAbs implements filesys.FileSystem.
func (m *memory) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	name = path.Join("/", name)
	switch {
	case m.IsDir(name):
		return filesys.ConfirmedDir(name), "", nil
	case m.Exists(name):
		return filesys.ConfirmedDir(path.Dir(name)), path.Base(name), nil
	}
	return "", "", fmt.Errorf("'%s' doesn't exist", name)
}
