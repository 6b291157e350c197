package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// exclusive holds the lock of the layout, which writers wait for.
func (l *layout) exclusive(ctx context.Context, do func() error) (err error) {
	if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the directory does not exist: %w", ErrNotFound)
	}
	unlock, err := lockDir(ctx, l.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return do()
}

func (l *layout) index(ctx context.Context) (*v1.IndexManifest, error) {
	data, err := l.read(ctx, indexFile, maxIndex)
	if err != nil {
		return nil, err
	}
	return parseIndex(data)
}

// list dates an artifact by the file of its manifest, which every push touches.
func (l *layout) list(ctx context.Context) ([]Artifact, error) {
	index, err := l.index(ctx)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var all []Artifact
	at := map[Digest]int{}
	for _, desc := range index.Manifests {
		d := Digest(desc.Digest.String())
		i, seen := at[d]
		if !seen {
			a, err := l.entry(ctx, root, d)
			if err != nil {
				return nil, err
			}
			i = len(all)
			at[d], all = i, append(all, a)
		}
		if tag, ok := desc.Annotations[tagAnnotation]; ok {
			all[i].Tags = append(all[i].Tags, tag)
		}
	}
	return all, nil
}

func (l *layout) entry(ctx context.Context, root *os.Root, d Digest) (Artifact, error) {
	data, err := l.manifest(ctx, d)
	if err != nil {
		return Artifact{}, err
	}
	if err := d.verify(data); err != nil {
		return Artifact{}, err
	}
	a, err := newArtifactEntry(d, data)
	if err != nil {
		return Artifact{}, err
	}
	info, err := root.Stat(path.Join(blobsDir, d.hex()))
	if err != nil {
		return Artifact{}, err
	}
	a.Pushed = info.ModTime()
	return a, l.addImages(ctx, &a, data, maxNesting)
}

// maxNesting is how deep indexes of other tools may lie in each other.
const maxNesting = 8

// addImages adds to an index of another tool all that its images name.
func (l *layout) addImages(ctx context.Context, a *Artifact, data []byte, levels int) error {
	var index v1.IndexManifest
	if err := json.Unmarshal(data, &index); err != nil {
		return fmt.Errorf("decoding manifest: %w", err)
	}
	if levels == 0 {
		return fmt.Errorf("index %s: indexes are nested too deep", a.Digest)
	}
	for _, desc := range index.Manifests {
		d := Digest(desc.Digest.String())
		image, err := l.manifest(ctx, d)
		if err != nil {
			return err
		}
		child, err := newArtifactEntry(d, image)
		if err != nil {
			return err
		}
		for _, b := range child.blobs {
			a.add(b.digest, b.size)
		}
		if err := l.addImages(ctx, a, image, levels-1); err != nil {
			return err
		}
	}
	return nil
}

func (l *layout) touch(_ context.Context, d Digest) error {
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return touch(root, d)
}

func touch(root *os.Root, d Digest) error {
	now := time.Now()
	return root.Chtimes(path.Join(blobsDir, d.hex()), now, now)
}

// remove takes the doomed out of the index, and then every blob that no manifest
// of the index names any more. The lock is held.
func (l *layout) remove(ctx context.Context, swept *Swept, all []Artifact) error {
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	index, err := l.index(ctx)
	if err != nil {
		return err
	}
	doomed, named, gone := map[Digest]bool{}, map[Digest]bool{}, map[Digest]bool{}
	for _, a := range swept.Deleted {
		doomed[a.Digest] = true
	}
	for _, a := range all {
		blobs := named
		if doomed[a.Digest] {
			blobs = gone
		}
		for _, b := range a.blobs {
			blobs[b.digest] = true
		}
	}
	if len(doomed) > 0 {
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return doomed[Digest(d.Digest.String())] })
		if err := writeIndex(root, index); err != nil {
			return err
		}
	}
	return removeBlobs(root, named, gone)
}

// removeBlobs removes the blobs that nothing names. Those of other tools, which do
// not know our lock, may not be named yet: they have to be old.
func removeBlobs(root *os.Root, named, gone map[Digest]bool) error {
	entries, err := fs.ReadDir(root.FS(), blobsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		d, err := ParseDigest("sha256:" + e.Name())
		if err != nil || named[d] {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !gone[d] && time.Since(info.ModTime()) < strayAge {
			continue
		}
		if err := root.Remove(path.Join(blobsDir, e.Name())); err != nil {
			return fmt.Errorf("removing blob %s: %w", d, err)
		}
	}
	return syncDir(root, blobsDir)
}
