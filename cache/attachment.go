package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Attachment is a document about a result that refers to it: a signature, an
// attestation. It is stored as an OCI referrer, as cosign stores its bundles.
type Attachment struct {
	MediaType string
	Data      []byte
	// Annotations are those of the manifest, and of the layer where it has some.
	Annotations map[string]string
}

// The media types of attachments that a reader takes: cosign's bundles, and the
// signatures that it kept under a tag before.
const (
	bundlePrefix  = "application/vnd.dev.sigstore.bundle"
	simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// What a reader takes. A result has a few attachments; whoever can push to a
// repository can add any number.
const (
	maxAttachments = 64
	maxAttachment  = 4 << 20
)

// PutAttached stores a result as Put does, after the attachments that attach makes
// of its digest: nobody ever reads the result without them.
func (s *Store) PutAttached(ctx context.Context, res *profile.Result, files []profile.File, attach func(Digest) ([]Attachment, error)) (Digest, error) {
	a, err := resultArtifact(res, files)
	if err != nil {
		return "", fmt.Errorf("storing result in %s: %w", s, err)
	}
	attachments, err := attach(a.digest)
	if err != nil {
		return "", err
	}
	for _, at := range attachments {
		if err := s.attach(ctx, a.digest, len(a.manifest), at); err != nil {
			return "", err
		}
	}
	return s.put(ctx, res, a)
}

// Attach stores an attachment of the result of that digest. The same again changes
// nothing.
func (s *Store) Attach(ctx context.Context, d Digest, at Attachment) error {
	data, err := s.backend.manifest(ctx, d)
	if err == nil {
		err = d.verify(data)
	}
	if err != nil {
		return fmt.Errorf("attaching to result %s in %s: %w", d, s, err)
	}
	return s.attach(ctx, d, len(data), at)
}

func (s *Store) attach(ctx context.Context, d Digest, size int, at Attachment) error {
	a, err := newAttachment(d, size, at)
	if err != nil {
		return fmt.Errorf("attaching to result %s in %s: %w", d, s, err)
	}
	if err := s.backend.put(ctx, a, ""); err != nil {
		return fmt.Errorf("attaching to result %s in %s: %w", d, s, err)
	}
	return nil
}

func newAttachment(d Digest, size int, at Attachment) (*artifact, error) {
	if len(at.Data) > maxAttachment {
		return nil, fmt.Errorf("attachment is %d bytes, more than the %d allowed", len(at.Data), maxAttachment)
	}
	a := &artifact{kind: kind{noun: "attachment", mediaType: at.MediaType}}
	m := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  at.MediaType,
		Config:        a.add(emptyConfigType, []byte(emptyConfig)),
		Layers:        []v1.Descriptor{a.add(types.MediaType(at.MediaType), at.Data)},
		Subject:       &v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(size), Digest: hash(d)},
		Annotations:   at.Annotations,
	}
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	a.manifest, a.digest = encoded, digestOf(encoded)
	return a, nil
}

// Attachments returns what the store has attached to the result of that digest,
// and keeps local copies. What is no attachment that is known here is left out.
func (s *Store) Attachments(ctx context.Context, d Digest) ([]Attachment, error) {
	found, err := s.attachments(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("fetching attachments of result %s from %s: %w", d, s, err)
	}
	return found, nil
}

func (s *Store) attachments(ctx context.Context, d Digest) ([]Attachment, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return nil, err
	}
	referrers, err := s.backend.referrers(ctx, map[Digest]bool{d: true})
	if err != nil {
		return nil, err
	}
	var manifests []Digest
	for _, r := range referrers[:min(len(referrers), maxAttachments)] {
		manifests = append(manifests, r.digest)
	}
	get := func(d Digest, limit int64, manifest bool) ([]byte, error) {
		return s.read(ctx, d, limit, manifest)
	}
	found, err := collect(d, manifests, get)
	if err == nil && len(found) > 0 {
		s.local.writeReferrers(d, manifests)
	}
	return found, err
}

// read is the verified bytes of an object, kept locally.
func (s *Store) read(ctx context.Context, d Digest, limit int64, manifest bool) ([]byte, error) {
	if data, err := s.local.read(d, limit); data != nil && err == nil {
		return data, nil
	}
	var data []byte
	var err error
	if manifest {
		data, err = s.backend.manifest(ctx, d)
	} else {
		data, err = s.backend.blob(ctx, d, limit)
	}
	if err != nil {
		return nil, err
	}
	if err := d.verify(data); err != nil {
		return nil, err
	}
	s.local.write(d, data)
	return data, nil
}

// LocalAttachments returns the attachments of the result of that digest of which
// there are local copies. It does not ask the store.
func (s *Store) LocalAttachments(d Digest) []Attachment {
	get := func(d Digest, limit int64, _ bool) ([]byte, error) {
		data, err := s.local.read(d, limit)
		if err == nil && data == nil {
			err = ErrNotFound
		}
		return data, err
	}
	found, err := collect(d, s.local.referrers(d), get)
	if err != nil {
		return nil // whoever wants to know why asks the store
	}
	return found
}

// collect reads attachments of d by the digests of their manifests. One that was
// changed, is gone or is something else stands in the way of no other; it is the
// error where nothing else is found.
func collect(d Digest, manifests []Digest, get func(d Digest, limit int64, manifest bool) ([]byte, error)) ([]Attachment, error) {
	var found []Attachment
	var unread error
	for _, m := range manifests {
		at, err := attachment(d, m, get)
		switch {
		case errors.Is(err, ErrTampered) || errors.Is(err, ErrNotFound):
			unread = err
		case err != nil:
			return nil, err
		}
		found = append(found, at...)
	}
	if len(found) == 0 {
		return nil, unread
	}
	return found, nil
}

func attachment(d, manifestDigest Digest, get func(d Digest, limit int64, manifest bool) ([]byte, error)) ([]Attachment, error) {
	data, err := get(manifestDigest, maxManifest, true)
	if err != nil {
		return nil, err
	}
	var m v1.Manifest
	if json.Unmarshal(data, &m) != nil || m.Subject != nil && m.Subject.Digest.String() != string(d) {
		return nil, nil
	}
	var found []Attachment
	for _, l := range m.Layers {
		layerDigest, err := ParseDigest(l.Digest.String())
		known := strings.HasPrefix(string(l.MediaType), bundlePrefix) || l.MediaType == simpleSigning
		if err != nil || !known || l.Size > maxAttachment || len(found) >= maxAttachments {
			continue
		}
		data, err := get(layerDigest, maxAttachment, false)
		if err != nil {
			return nil, err
		}
		annotations := maps.Clone(m.Annotations)
		if annotations == nil {
			annotations = map[string]string{}
		}
		maps.Copy(annotations, l.Annotations)
		found = append(found, Attachment{MediaType: string(l.MediaType), Data: data, Annotations: annotations})
	}
	return found, nil
}

func hash(d Digest) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: d.hex()}
}
