package cache

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// referrer is what is about an artifact.
type referrer struct {
	digest Digest
	tag    string // by which cosign attached it; empty where its manifest names its subject
}

// cosignTag is the tag of what cosign attaches to an artifact where it uses no
// referrers (its specs/SIGNATURE_SPEC.md).
var cosignTag = regexp.MustCompile(`^sha256-([0-9a-f]{64})\.(sig|att|sbom)$`)

// cosignTags are the tags of that kind which an artifact may have.
func cosignTags(d Digest) []string {
	return []string{referrersTag(d) + ".sig", referrersTag(d) + ".att", referrersTag(d) + ".sbom"}
}

// cosignSubject is the artifact to which that tag attaches another; empty for none.
func cosignSubject(tag string) Digest {
	if m := cosignTag.FindStringSubmatch(tag); m != nil {
		return Digest("sha256:" + m[1])
	}
	return ""
}

// referrersTag is the tag of the list of referrers where a registry has no API for
// them (OCI distribution specification 1.1, "Referrers Tag Schema").
func referrersTag(d Digest) string {
	return "sha256-" + d.hex()
}

// listsReferrers reports whether the artifact is such a list. It is a part of its
// subject, and no artifact of its own.
func (a *Artifact) listsReferrers() bool {
	return a.Type == string(types.OCIImageIndex) && len(a.Tags) > 0 && !a.named()
}

// subject is the artifact that this one is about, whichever way it says so.
func (a *Artifact) subject() Digest {
	for _, tag := range a.Tags {
		if d := cosignSubject(tag); d != "" {
			return cmp.Or(a.Subject, d)
		}
	}
	return a.Subject
}

// about reads what is about one of the subjects. Of its tags it knows those of
// cosign. What is gone meanwhile is left out.
func (s *Store) about(ctx context.Context, subjects map[Digest]bool) ([]Artifact, error) {
	found, err := s.backend.referrers(ctx, subjects)
	if err != nil {
		return nil, err
	}
	tags := map[Digest][]string{}
	for _, r := range found {
		tags[r.digest] = append(tags[r.digest], r.tag)
	}
	var mu sync.Mutex
	var all []Artifact
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for d, tags := range tags {
		group.Go(func() error {
			a, err := s.entry(ctx, d)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			a.Tags = slices.DeleteFunc(tags, func(tag string) bool { return tag == "" })
			mu.Lock()
			defer mu.Unlock()
			all = append(all, a)
			return nil
		})
	}
	err = group.Wait()
	slices.SortFunc(all, func(a, b Artifact) int { return cmp.Compare(a.Digest, b.Digest) })
	return all, err
}

func (s *Store) entry(ctx context.Context, d Digest) (Artifact, error) {
	data, err := s.backend.manifest(ctx, d)
	if err != nil {
		return Artifact{}, err
	}
	if err := d.verify(data); err != nil {
		return Artifact{}, err
	}
	return newArtifactEntry(d, data)
}
