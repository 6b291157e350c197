package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Copy stores results of this store in another, with everything that refers to
// them, and returns the digests of what refers. Every byte is verified on its way,
// and what is there already stays. A result comes after what refers to it, so that
// nobody reads it unsigned. It takes the tag of its key where that is free; one that
// has it here comes first.
func (s *Store) Copy(ctx context.Context, to *Store, results []Digest) (referrers []Digest, err error) {
	var tagged, others []copied
	for _, d := range results {
		c, err := s.readArtifact(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("reading %s in %s: %w", d, s, err)
		}
		res, err := s.result(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("reading %s in %s: %w", d, s, err)
		}
		c.tag = tagFor(res)
		if first, err := s.backend.find(ctx, keyTag(res.Inputs.Key())); err == nil && first == d {
			tagged = append(tagged, c)
		} else {
			others = append(others, c)
		}
	}
	about, err := s.allReferrers(ctx, results)
	if err != nil {
		return nil, fmt.Errorf("finding referrers in %s: %w", s, err)
	}
	for _, c := range slices.Concat(about, tagged, others) {
		if err := to.backend.put(ctx, c.artifact, c.tag); err != nil {
			return nil, fmt.Errorf("storing %s in %s: %w", c.digest, to, err)
		}
	}
	for _, c := range about {
		referrers = append(referrers, c.digest)
	}
	return referrers, nil
}

// copied is an artifact on its way, with the tag that it wants; empty for none.
type copied struct {
	*artifact
	tag string
}

// allReferrers reads what refers to the digests, then what refers to that.
func (s *Store) allReferrers(ctx context.Context, digests []Digest) ([]copied, error) {
	var all []copied
	seen, next := map[Digest]bool{}, map[Digest]bool{}
	for _, d := range digests {
		seen[d], next[d] = true, true
	}
	for len(next) > 0 {
		found, err := s.about(ctx, next)
		if err != nil {
			return nil, err
		}
		next = map[Digest]bool{}
		for _, a := range found {
			if seen[a.Digest] {
				continue
			}
			seen[a.Digest], next[a.Digest] = true, true
			c, err := s.readArtifact(ctx, a.Digest)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.Digest, err)
			}
			if len(a.Tags) > 0 {
				c.tag = a.Tags[0] // by which cosign attached it
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// readArtifact returns an artifact of any kind with all its blobs, verified.
func (s *Store) readArtifact(ctx context.Context, d Digest) (copied, error) {
	data, err := s.backend.manifest(ctx, d)
	if err != nil {
		return copied{}, err
	}
	if err := d.verify(data); err != nil {
		return copied{}, err
	}
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return copied{}, fmt.Errorf("decoding manifest: %w", err)
	}
	if !m.MediaType.IsImage() {
		return copied{}, fmt.Errorf("media type %q is no image manifest", shorten(string(m.MediaType)))
	}
	a := &artifact{kind: kind{mediaType: m.ArtifactType}, digest: d, manifest: data}
	for _, desc := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		b, err := ParseDigest(desc.Digest.String())
		if err != nil {
			return copied{}, err
		}
		if desc.Size < 0 || desc.Size > maxFile {
			return copied{}, fmt.Errorf("blob %s is %d bytes, more than the %d allowed", b, desc.Size, maxFile)
		}
		content, err := s.layer(ctx, layer{digest: b, size: desc.Size}, false)
		if err != nil {
			return copied{}, err
		}
		a.add(desc.MediaType, content)
	}
	return copied{artifact: a}, nil
}
