package cache

import (
	"context"
	"fmt"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// PutMeasurement stores what was measured of one candidate of a sweep, a JSON
// document, with the raw files, under the digest of all that decides what is
// measured. It makes a sweep resumable; a result does not refer to it. A
// measurement that is there already stays.
func (s *Store) PutMeasurement(ctx context.Context, id Digest, document []byte, files []profile.File) error {
	if _, err := ParseDigest(string(id)); err != nil {
		return fmt.Errorf("storing measurement: %w", err)
	}
	a, err := newArtifact(measurementKind, document, files)
	if err != nil {
		return fmt.Errorf("storing measurement %s in %s: %w", id, s, err)
	}
	if err := s.backend.put(ctx, a, measurementTag(id)); err != nil {
		return fmt.Errorf("storing measurement %s in %s: %w", id, s, err)
	}
	return nil
}

// Measurement returns what PutMeasurement stored under that id, or an error that
// is ErrNotFound.
func (s *Store) Measurement(ctx context.Context, id Digest) ([]byte, []profile.File, error) {
	document, files, err := s.measurement(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching measurement %s from %s: %w", id, s, err)
	}
	return document, files, nil
}

func (s *Store) measurement(ctx context.Context, id Digest) ([]byte, []profile.File, error) {
	if _, err := ParseDigest(string(id)); err != nil {
		return nil, nil, err
	}
	d, err := s.backend.find(ctx, measurementTag(id))
	if err != nil {
		return nil, nil, err
	}
	m, err := s.manifest(ctx, measurementKind, d)
	if err != nil {
		return nil, nil, err
	}
	document, err := s.layer(ctx, m.document, false)
	if err != nil {
		return nil, nil, err
	}
	files, err := s.files(ctx, m)
	return document, files, err
}

// measurementTag is the tag of a measurement, apart from those of keys.
func measurementTag(id Digest) string {
	return "measurement-" + strings.Replace(string(id), ":", "-", 1)
}
