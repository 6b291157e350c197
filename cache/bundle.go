package cache

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// Image is a container image that rendered manifests use.
type Image struct {
	Image string   `json:"image"`
	Dirs  []string `json:"dirs"` // whose manifests use it, below the repository root
}

// Bundled is what a bundle holds.
type Bundled struct {
	Results   []Digest `json:"results"`
	Referrers []Digest `json:"referrers"` // signatures and the like
	Images    []Image  `json:"images"`
}

// Selection is what of a store goes into a bundle.
type Selection struct {
	Store   *Store
	Results []Digest
}

// imagesTag is the tag of the list of images in a bundle.
const imagesTag = "images"

// WriteBundle writes an OCI archive, which is a tar of an image layout: the
// selected results, what refers to them, and the list of images, as an artifact
// with the tag "images". The same content gives the same bytes.
func WriteBundle(ctx context.Context, w io.Writer, selected []Selection, images []Image) (b *Bundled, err error) {
	dir, err := os.MkdirTemp("", "dynamo-bundle-")
	if err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	scratch := &Store{backend: &layout{dir: dir}}
	b = &Bundled{Results: []Digest{}, Referrers: []Digest{}, Images: images}
	for _, s := range selected {
		referrers, err := s.Store.Copy(ctx, scratch, s.Results)
		if err != nil {
			return nil, fmt.Errorf("writing bundle: %w", err)
		}
		b.Results = append(b.Results, s.Results...)
		b.Referrers = append(b.Referrers, referrers...)
	}
	sortDigests(&b.Results)
	sortDigests(&b.Referrers)
	list, err := json.MarshalIndent(images, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	a, err := newArtifact(imagesKind, append(list, '\n'), nil)
	if err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	if err := scratch.backend.put(ctx, a, imagesTag); err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	if err := writeTar(dir, w); err != nil {
		return nil, fmt.Errorf("writing bundle: %w", err)
	}
	return b, nil
}

func sortDigests(digests *[]Digest) {
	slices.Sort(*digests)
	*digests = slices.Compact(*digests)
}

// writeTar writes a layout without what differs between two machines.
func writeTar(dir string, w io.Writer) error {
	entries, err := os.ReadDir(filepath.Join(dir, blobsDir)) // sorted
	if err != nil {
		return err
	}
	names := []string{layoutFile, indexFile}
	for _, e := range entries {
		names = append(names, path.Join(blobsDir, e.Name()))
	}
	tw := tar.NewWriter(w)
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(data); err != nil {
			return err
		}
	}
	return tw.Close()
}

// LoadBundle stores the results of a bundle, and what refers to them, in a store.
// The list of images is returned and not stored. Nothing is stored of a bundle
// whose bytes do not match their digests.
func LoadBundle(ctx context.Context, r io.Reader, to *Store) (b *Bundled, err error) {
	dir, err := os.MkdirTemp("", "dynamo-bundle-")
	if err != nil {
		return nil, fmt.Errorf("reading bundle: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := readTar(ctx, r, dir); err != nil {
		return nil, fmt.Errorf("reading bundle: %w", err)
	}
	scratch := &Store{backend: &layout{dir: dir}}
	all, err := scratch.artifacts(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading bundle: %w", err)
	}
	b = &Bundled{Results: []Digest{}, Referrers: []Digest{}, Images: []Image{}}
	for _, a := range all {
		if a.IsResult() {
			b.Results = append(b.Results, a.Digest)
		}
	}
	if err := scratch.images(ctx, &b.Images); err != nil {
		return nil, fmt.Errorf("reading bundle: %w", err)
	}
	referrers, err := scratch.Copy(ctx, to, b.Results)
	if err != nil {
		return nil, fmt.Errorf("loading bundle: %w", err)
	}
	b.Referrers = append(b.Referrers, referrers...)
	sortDigests(&b.Referrers)
	return b, nil
}

// images reads the list of images of a bundle.
func (s *Store) images(ctx context.Context, into *[]Image) error {
	d, err := s.backend.find(ctx, imagesTag)
	if err != nil {
		return err
	}
	m, err := s.manifest(ctx, imagesKind, d)
	if err != nil {
		return err
	}
	data, err := s.layer(ctx, m.document, false)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decoding list of images: %w", err)
	}
	return nil
}

// readTar unpacks the files of a layout, and nothing else.
func readTar(ctx context.Context, r io.Reader, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, blobsDir), 0o755); err != nil {
		return err
	}
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("is it a tar archive?: %w", err)
		}
		name, limit := path.Clean(h.Name), int64(maxFile)
		switch _, digestErr := ParseDigest("sha256:" + path.Base(name)); {
		case h.Typeflag == tar.TypeDir:
			continue
		case name == layoutFile || name == indexFile:
			limit = maxIndex
		case h.Typeflag != tar.TypeReg || path.Dir(name) != blobsDir || digestErr != nil:
			return fmt.Errorf("%q is no file of an OCI image layout", shorten(h.Name))
		}
		data, err := readAll(tr, min(max(h.Size, 0), limit), limit)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if int64(len(data)) > limit {
			return fmt.Errorf("%s is larger than %d bytes", name, limit)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
}
