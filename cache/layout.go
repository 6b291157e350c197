package cache

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The files of an OCI image layout (image specification 1.1, image-layout.md).
const (
	layoutFile    = "oci-layout"
	layoutContent = `{"imageLayoutVersion":"1.0.0"}`
	indexFile     = "index.json"
	blobsDir      = "blobs/sha256"
	tagAnnotation = "org.opencontainers.image.ref.name"
)

// maxIndex bounds index.json: some hundred thousand results.
const maxIndex = 64 << 20

// layout is an OCI image layout directory. Readers take no lock: blobs come before
// the index that names them, and every file is replaced whole. Writers take turns
// by the lock of the directory.
type layout struct {
	dir   string
	files fs.FS // read instead of the directory, and not written; nil for the directory

	mu   sync.Mutex
	last *tags
}

// tags are those of an index.json, which a fleet is looked up in a thousand times.
type tags struct {
	file    fs.FileInfo
	digests map[string]v1.Hash
}

func (l *layout) String() string {
	return layoutPrefix + l.dir
}

func (l *layout) manifest(ctx context.Context, d Digest) ([]byte, error) {
	return l.read(ctx, path.Join(blobsDir, d.hex()), maxManifest)
}

func (l *layout) blob(ctx context.Context, d Digest, limit int64) ([]byte, error) {
	return l.read(ctx, path.Join(blobsDir, d.hex()), limit)
}

func (l *layout) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.files != nil {
		return readFrom(l.files, name, limit)
	}
	root, err := os.OpenRoot(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory does not exist: %w", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	data, err := readFile(root, name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return data, err
}

func (l *layout) find(ctx context.Context, tag string) (Digest, error) {
	all, err := l.tags(ctx)
	if err != nil {
		return "", err
	}
	digest, ok := all[tag]
	if !ok {
		return "", fmt.Errorf("tag %s: %w", tag, ErrNotFound)
	}
	return ParseDigest(digest.String())
}

// coarsestTime is more than the steps in which a file system tells times apart.
const coarsestTime = 2 * time.Second

// tags reads the index unless it is the very file that was read last.
func (l *layout) tags(ctx context.Context) (map[string]v1.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var file fs.FileInfo
	if l.files == nil {
		file, _ = os.Lstat(filepath.Join(l.dir, indexFile)) // reading says what is wrong
	}
	if l.last != nil && (l.files != nil || unchanged(l.last.file, file)) {
		return l.last.digests, ctx.Err()
	}
	if file != nil && time.Since(file.ModTime()) < coarsestTime {
		file = nil // written again, it could look the same
	}
	index, err := l.index(ctx)
	if err != nil {
		return nil, err
	}
	read := &tags{file, map[string]v1.Hash{}}
	for _, desc := range slices.Backward(index.Manifests) { // the first one counts
		if tag, ok := desc.Annotations[tagAnnotation]; ok {
			read.digests[tag] = desc.Digest
		}
	}
	l.last = read
	return read.digests, nil
}

// unchanged reports whether a file is what it was when it was read.
func unchanged(then, now fs.FileInfo) bool {
	return then != nil && now != nil && os.SameFile(then, now) && then.Size() == now.Size() && then.ModTime().Equal(now.ModTime())
}

// referrers reads the subjects of the manifests of attachments: an image layout has
// no list of them.
func (l *layout) referrers(ctx context.Context, subjects map[Digest]bool) ([]referrer, error) {
	index, err := l.index(ctx)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []referrer
	for _, desc := range index.Manifests {
		at, err := ParseDigest(desc.Digest.String())
		if err != nil || desc.ArtifactType == resultKind.mediaType || desc.ArtifactType == measurementKind.mediaType {
			continue
		}
		tag := desc.Annotations[tagAnnotation]
		if subjects[cosignSubject(tag)] {
			found = append(found, referrer{at, tag})
			continue
		}
		data, err := l.manifest(ctx, at)
		if err != nil {
			continue // reading it would not make it one
		}
		var m v1.Manifest
		if json.Unmarshal(data, &m) == nil && m.Subject != nil && subjects[Digest(m.Subject.Digest.String())] {
			found = append(found, referrer{digest: at})
		}
	}
	return found, ctx.Err()
}

func (l *layout) put(ctx context.Context, a *artifact, tag string) (err error) {
	if l.files != nil {
		return errors.New("is part of a commit and cannot be written")
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	unlock, err := lockDir(ctx, l.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := initLayout(root); err != nil {
		return err
	}
	for _, b := range append(a.blobs, blob{a.digest, types.OCIManifestSchema1, a.manifest}) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeBlob(root, b); err != nil {
			return fmt.Errorf("writing blob %s: %w", b.digest, err)
		}
	}
	if err := touch(root, a.digest); err != nil {
		return err
	}
	if err := syncDir(root, blobsDir); err != nil {
		return err
	}
	return updateIndex(root, a, tag)
}

// initLayout makes a layout of an empty directory and clears what killed writers
// left; the lock is held, so no temporary file has a writer.
func initLayout(root *os.Root) error {
	data, err := readFile(root, layoutFile, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := refuseForeign(root); err != nil {
			return err
		}
		// First of all files, so that a directory is known for a layout from its first blob.
		if err := writeFile(root, layoutFile, []byte(layoutContent)); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		var version struct {
			ImageLayoutVersion string `json:"imageLayoutVersion"`
		}
		if err := json.Unmarshal(data, &version); err != nil || version.ImageLayoutVersion != "1.0.0" {
			return fmt.Errorf("%s: is not of version 1.0.0", layoutFile)
		}
	}
	if err := root.MkdirAll(blobsDir, 0o755); err != nil {
		return err
	}
	return errors.Join(sweep(root, ".", 0), sweep(root, blobsDir, 0))
}

// refuseForeign keeps a mistyped path from filling somebody's directory.
func refuseForeign(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			return fmt.Errorf("the directory is no OCI image layout: it holds %q and no %s", e.Name(), layoutFile)
		}
	}
	return nil
}

// writeBlob leaves a blob alone that is there and whole, and mends one that is not.
func writeBlob(root *os.Root, b blob) error {
	name := path.Join(blobsDir, b.digest.hex())
	if old, err := readFile(root, name, int64(len(b.data))); err == nil && bytes.Equal(old, b.data) {
		return nil
	}
	return writeFile(root, name, b.data)
}

// updateIndex names the artifact in the index, with the tag if no manifest has it.
func updateIndex(root *os.Root, a *artifact, tag string) error {
	index := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	old, err := readFile(root, indexFile, maxIndex)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if index, err = parseIndex(old); err != nil {
			return err
		}
	}
	addManifest(index, a, tag)
	return writeIndex(root, index)
}

// writeIndex leaves an index alone that says the same already.
func writeIndex(root *os.Root, index *v1.IndexManifest) error {
	data, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", indexFile, err)
	}
	data = append(data, '\n')
	if old, err := readFile(root, indexFile, maxIndex); err == nil && bytes.Equal(data, old) {
		return nil
	}
	if err := writeFile(root, indexFile, data); err != nil {
		return fmt.Errorf("writing %s: %w", indexFile, err)
	}
	return syncDir(root, ".")
}

// addManifest keeps the manifests in the order of their digests, so that the index
// does not depend on who wrote first.
func addManifest(index *v1.IndexManifest, a *artifact, tag string) {
	taken, at := tag == "", -1
	for i, desc := range index.Manifests {
		name, tagged := desc.Annotations[tagAnnotation]
		taken = taken || tagged && name == tag
		if desc.Digest.String() == string(a.digest) && (!tagged || tag == "" || name == tag) {
			at = i
		}
	}
	if at < 0 {
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType:    types.OCIManifestSchema1,
			Size:         int64(len(a.manifest)),
			Digest:       hash(a.digest),
			ArtifactType: a.kind.mediaType,
		})
		at = len(index.Manifests) - 1
	}
	if !taken {
		index.Manifests[at].Annotations = map[string]string{tagAnnotation: tag}
	}
	slices.SortStableFunc(index.Manifests, func(x, y v1.Descriptor) int {
		return cmp.Or(cmp.Compare(x.Digest.String(), y.Digest.String()),
			cmp.Compare(x.Annotations[tagAnnotation], y.Annotations[tagAnnotation]))
	})
}

func parseIndex(data []byte) (*v1.IndexManifest, error) {
	if len(data) > maxIndex {
		return nil, fmt.Errorf("%s: is larger than %d bytes", indexFile, maxIndex)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	if index.SchemaVersion != 2 {
		return nil, fmt.Errorf("%s: is no image index of schema version 2", indexFile)
	}
	return &index, nil
}
