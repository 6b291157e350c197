package main

import (
	"maps"
	"path"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/revision"
)

// inputs are what the render of a directory reads, as hashes.
type inputs struct {
	files map[string]string // by path
	blobs map[string]string // of the files of each locked result, by its digest
}

func sameFiles(a, b inputs) bool {
	return maps.Equal(a.files, b.files) && maps.Equal(a.blobs, b.blobs)
}

func (s *side) inputs(dir string) inputs {
	in := inputs{map[string]string{}, map[string]string{}}
	app := s.tree.App(dir)
	if len(app.Files) == 0 {
		return in
	}
	for _, file := range app.Files {
		in.files[file] = s.hash(file)
	}
	name := path.Join(dir, cache.LockFile)
	if hash := s.hash(name); hash != "" {
		in.files[name] = hash
	}
	data, err := s.tree.Read(name)
	if err != nil {
		return in
	}
	lock, err := cache.ParseLock(name, data)
	if err != nil {
		return in
	}
	for _, e := range lock.Profiles {
		in.blobs[string(e.Result)] = s.stored(dir, e.Result)
	}
	return in
}

// stored tells a result in the store that the revision carries from one that is not
// whole: "" where it carries no store, or another is named.
func (s *side) stored(dir string, d cache.Digest) string {
	if s.opts.store != "" {
		return ""
	}
	names := cache.EmbeddedFiles(s.tree.Files(), dir, d)
	if len(names) == 0 && s.worktree != nil {
		return s.worktree.stored(dir, d)
	}
	id := strings.Join(names, "\x00")
	if known, ok := s.blobs[id]; ok {
		return known
	}
	var hashes []string
	for _, name := range names {
		hashes = append(hashes, s.hash(name))
	}
	s.blobs[id] = strings.Join(hashes, " ")
	return s.blobs[id]
}

// hash is that of a file's content, "" where it cannot be read: rendering says why.
func (s *side) hash(name string) string {
	if s.files != nil {
		hash, err := s.files.Hash(name)
		if err != nil {
			return ""
		}
		return hash
	}
	data, err := s.tree.Read(name)
	if err != nil {
		return ""
	}
	return revision.BlobHash(data)
}

// byStore says whether a render depends on more of the store than the locked results:
// on its tags, or on signatures.
func (o *options) byStore() bool {
	return o.resolve != "locked" || o.onMiss != "fail" || len(o.trustedKeys) > 0
}
