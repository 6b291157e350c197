package cache

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"path"
	"slices"
	"strings"
	"unicode"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// kind is what an artifact of ours is: the artifact type of its manifest, which is
// also the media type of the document in its first layer, and that layer's name.
type kind struct{ noun, mediaType, name string }

var (
	resultKind      = kind{"profiling result", "application/vnd.dynamo-cmp.result.v1+json", "result.json"}
	measurementKind = kind{"measurement", "application/vnd.dynamo-cmp.measurement.v1+json", "measurement.json"}
	imagesKind      = kind{"list of images", "application/vnd.dynamo-cmp.images.v1+json", "images.json"}
)

// The empty config of an artifact and the name of a layer, as the OCI image
// specification 1.1 has them (manifest.md, annotations.md).
const (
	emptyConfigType = "application/vnd.oci.empty.v1+json"
	emptyConfig     = "{}"
	titleAnnotation = "org.opencontainers.image.title"
)

// What a reader takes and, so that all that is stored can be read, a writer too.
const (
	maxManifest = 1 << 20
	maxDocument = 16 << 20
	maxFile     = 64 << 20
)

// artifact is a document, with its files, ready to be stored.
type artifact struct {
	kind     kind
	digest   Digest
	manifest []byte
	blobs    []blob // config, document, files; every one once
}

type blob struct {
	digest    Digest
	mediaType types.MediaType
	data      []byte
}

// manifest is what a reader needs of an image manifest.
type manifest struct {
	document layer
	files    []layer
}

type layer struct {
	digest    Digest
	size      int64
	mediaType string
	name      string
}

// newArtifact holds nothing but the document and the files: no time, no tool of ours.
func newArtifact(k kind, document []byte, files []profile.File) (*artifact, error) {
	all := []profile.File{{Name: k.name, MediaType: k.mediaType, Data: document}}
	all = append(all, slices.SortedFunc(slices.Values(files), func(a, b profile.File) int { return cmp.Compare(a.Name, b.Name) })...)
	a := &artifact{kind: k}
	m := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  k.mediaType,
		Config:        a.add(emptyConfigType, []byte(emptyConfig)),
	}
	for i, f := range all {
		if err := checkFile(k, f, i == 0); err != nil {
			return nil, fmt.Errorf("file %q: %w", shorten(f.Name), err)
		}
		if i > 0 && f.Name == all[i-1].Name {
			return nil, fmt.Errorf("file %q: is given twice", f.Name)
		}
		desc := a.add(types.MediaType(f.MediaType), f.Data)
		desc.Annotations = map[string]string{titleAnnotation: f.Name}
		m.Layers = append(m.Layers, desc)
	}
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	a.manifest = encoded
	if len(a.manifest) > maxManifest {
		return nil, fmt.Errorf("manifest is larger than %d bytes: too many files", maxManifest)
	}
	a.digest = digestOf(a.manifest)
	return a, nil
}

func (a *artifact) add(mt types.MediaType, data []byte) v1.Descriptor {
	d := digestOf(data)
	if !slices.ContainsFunc(a.blobs, func(b blob) bool { return b.digest == d }) {
		a.blobs = append(a.blobs, blob{d, mt, data})
	}
	return v1.Descriptor{MediaType: mt, Size: int64(len(data)), Digest: hash(d)}
}

func checkFile(k kind, f profile.File, document bool) error {
	limit := maxFile
	if document {
		limit = maxDocument
	} else if f.Name == k.name || f.MediaType == k.mediaType {
		return fmt.Errorf("the name and type of the %s itself are taken", k.noun)
	}
	if len(f.Data) > limit {
		return fmt.Errorf("is %d bytes, more than the %d allowed", len(f.Data), limit)
	}
	if mt, _, err := mime.ParseMediaType(f.MediaType); err != nil || !strings.Contains(mt, "/") {
		return fmt.Errorf("%q is not a media type", shorten(f.MediaType))
	}
	return checkName(f.Name)
}

// checkName refuses what could leave the directory that somebody extracts to.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || path.Base(name) != name ||
		strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }) {
		return errors.New("is not a plain file name")
	}
	return nil
}

// parseManifest takes image manifests of that kind only.
func parseManifest(k kind, data []byte) (*manifest, error) {
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("decoding manifest: %w", err)
	}
	if m.SchemaVersion != 2 || m.MediaType != types.OCIManifestSchema1 || m.ArtifactType != k.mediaType {
		return nil, fmt.Errorf("is no %s: media type %q, artifact type %q", k.noun, shorten(string(m.MediaType)), shorten(m.ArtifactType))
	}
	if m.Config.MediaType != emptyConfigType || m.Config.Digest.String() != string(digestOf([]byte(emptyConfig))) {
		return nil, errors.New("config of the manifest is not the empty one")
	}
	if len(m.Layers) == 0 || m.Layers[0].MediaType != types.MediaType(k.mediaType) {
		return nil, fmt.Errorf("first layer of the manifest is not a %s", k.noun)
	}
	var out manifest
	names := map[string]bool{}
	for i, desc := range m.Layers {
		limit := int64(maxFile)
		if i == 0 {
			limit = maxDocument
		}
		l, err := parseLayer(desc, limit)
		if err != nil {
			return nil, fmt.Errorf("layer %d of the manifest: %w", i, err)
		}
		if names[l.name] {
			return nil, fmt.Errorf("layer %d of the manifest: name %q is taken", i, l.name)
		}
		names[l.name] = true
		if i == 0 {
			out.document = l
		} else {
			out.files = append(out.files, l)
		}
	}
	return &out, nil
}

func parseLayer(desc v1.Descriptor, limit int64) (layer, error) {
	d, err := ParseDigest(desc.Digest.String())
	if err != nil {
		return layer{}, err
	}
	if desc.Size < 0 || desc.Size > limit {
		return layer{}, fmt.Errorf("is %d bytes, more than the %d allowed", desc.Size, limit)
	}
	name := desc.Annotations[titleAnnotation]
	if err := checkName(name); err != nil {
		return layer{}, fmt.Errorf("title %q: %w", shorten(name), err)
	}
	return layer{digest: d, size: desc.Size, mediaType: string(desc.MediaType), name: name}, nil
}
