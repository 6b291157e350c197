package cache

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Artifact is a manifest that a store holds: a result, a measurement, what refers
// to one of them, or what somebody else put there.
type Artifact struct {
	Digest  Digest
	Type    string    // artifact type, else the media type of the config
	Subject Digest    // the artifact that it is about, as a signature is; empty for none
	Tags    []string  // sorted
	Pushed  time.Time // when it was last pushed; a registry knows the day; zero when unknown
	Size    int64     // bytes of the manifest and of all that it names

	blobs []descriptor // of the manifest, its config and its layers; each once
}

// descriptor is the digest and the size of a blob.
type descriptor struct {
	digest Digest
	size   int64
}

// IsResult reports whether the artifact is a profiling result.
func (a *Artifact) IsResult() bool { return a.Type == resultKind.mediaType }

// IsMeasurement reports whether the artifact is a measurement of a sweep.
func (a *Artifact) IsMeasurement() bool { return a.Type == measurementKind.mediaType }

// Artifacts lists what the store holds, in the order of digests. A registry is
// asked for its tags: what has none, and refers to nothing that has one, is not
// seen there.
func (s *Store) Artifacts(ctx context.Context) ([]Artifact, error) {
	all, err := s.artifacts(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", s, err)
	}
	return all, nil
}

func (s *Store) artifacts(ctx context.Context) ([]Artifact, error) {
	all, err := s.backend.list(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		slices.Sort(all[i].Tags)
	}
	slices.SortFunc(all, func(a, b Artifact) int { return cmp.Compare(a.Digest, b.Digest) })
	return all, nil
}

// Touch notes that somebody is about to lock an artifact, so that a sweep counts
// its age from now.
func (s *Store) Touch(ctx context.Context, d Digest) error {
	if err := s.backend.touch(ctx, d); err != nil {
		return fmt.Errorf("noting use of %s in %s: %w", d, s, err)
	}
	return nil
}

// newArtifactEntry reads what a sweep has to know of a manifest or an index.
func newArtifactEntry(d Digest, data []byte) (Artifact, error) {
	var m struct {
		v1.Manifest
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return Artifact{}, fmt.Errorf("decoding manifest %s: %w", d, err)
	}
	a := Artifact{Digest: d, Type: cmp.Or(m.ArtifactType, string(m.Config.MediaType), string(m.MediaType))}
	if m.Subject != nil {
		a.Subject = Digest(m.Subject.Digest.String())
	}
	a.add(d, int64(len(data)))
	for _, desc := range slices.Concat([]v1.Descriptor{m.Config}, m.Layers, m.Manifests) {
		if desc.Digest.Hex != "" {
			a.add(Digest(desc.Digest.String()), desc.Size)
		}
	}
	return a, nil
}

func (a *Artifact) add(d Digest, size int64) {
	if !slices.ContainsFunc(a.blobs, func(b descriptor) bool { return b.digest == d }) {
		a.blobs = append(a.blobs, descriptor{d, size})
		a.Size += size
	}
}

// The tag of a push in a registry names the day (UTC) and the artifact. It dates
// the artifact, where no registry does, makes one findable that has no other tag,
// and keeps registries that delete what is untagged from losing it.
const (
	pushedPrefix = "pushed-"
	pushedDay    = "20060102"
)

func pushedTag(d Digest, now time.Time) string {
	return pushedPrefix + now.UTC().Format(pushedDay) + "-" + strings.Replace(string(d), ":", "-", 1)
}

// parsePushed reads the tag of a push. The time is the end of the day: an artifact
// counts as younger than it is, not as older.
func parsePushed(tag string) (Digest, time.Time, bool) {
	day, digest, ok := strings.Cut(strings.TrimPrefix(tag, pushedPrefix), "-")
	at, err := time.Parse(pushedDay, day)
	d, digestErr := ParseDigest(strings.Replace(digest, "-", ":", 1))
	if !ok || err != nil || digestErr != nil || !strings.HasPrefix(tag, pushedPrefix) {
		return "", time.Time{}, false
	}
	return d, at.AddDate(0, 0, 1).Add(-time.Second), true
}

// ownTag matches the tags that this package sets, and that of a list of referrers,
// which has the form of a key's tag.
var ownTag = regexp.MustCompile(`^(measurement-|pushed-[0-9]{8}-)?sha256-[0-9a-f]{64}$`)

// named reports whether somebody gave the artifact a tag of his own.
func (a *Artifact) named() bool {
	return slices.ContainsFunc(a.Tags, func(tag string) bool { return !ownTag.MatchString(tag) && !cosignTag.MatchString(tag) })
}

// AnswersKey reports whether the store names the artifact as the answer to the key.
func (a *Artifact) AnswersKey(key profile.Key) bool {
	return slices.Contains(a.Tags, keyTag(key))
}

// ReferrersTo lists what refers to an artifact, as signatures do, in the order of
// digests.
func (s *Store) ReferrersTo(ctx context.Context, d Digest) ([]Artifact, error) {
	all, err := s.about(ctx, map[Digest]bool{d: true})
	if err != nil {
		return nil, fmt.Errorf("finding referrers of %s in %s: %w", d, s, err)
	}
	return all, nil
}
