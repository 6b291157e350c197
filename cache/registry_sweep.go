package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"
)

// parallelReads is how many manifests of a registry are read at once.
const parallelReads = 8

// exclusive cannot keep writers out of a registry.
func (r *registry) exclusive(_ context.Context, do func() error) error {
	return do()
}

// list finds what has a tag. The tags of pushes are not followed, but for what has
// no other.
func (r *registry) list(ctx context.Context) ([]Artifact, error) {
	tags, err := remote.List(r.repo, r.options(ctx)...)
	if err != nil {
		if status := (*transport.Error)(nil); errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
			return nil, fmt.Errorf("the repository does not exist: %w", ErrNotFound)
		}
		return nil, describe(ctx, err)
	}
	found := collection{}
	pushed := map[Digest][]string{}
	var refs []string
	for _, tag := range tags {
		if d, _, ok := parsePushed(tag); ok {
			pushed[d] = append(pushed[d], tag)
		} else {
			refs = append(refs, tag)
		}
	}
	if err := r.collect(ctx, &found, refs); err != nil {
		return nil, err
	}
	refs = nil
	for d := range pushed {
		if found.at[d] == nil {
			refs = append(refs, string(d))
		}
	}
	if err := r.collect(ctx, &found, refs); err != nil {
		return nil, err
	}
	var all []Artifact
	for d, a := range found.at {
		if a.listsReferrers() {
			continue
		}
		for _, tag := range pushed[d] {
			a.Tags = append(a.Tags, tag)
			if _, at, _ := parsePushed(tag); at.After(a.Pushed) {
				a.Pushed = at
			}
		}
		all = append(all, *a)
	}
	return all, nil
}

// collection is what was found in a registry, by digest.
type collection struct {
	mu sync.Mutex
	at map[Digest]*Artifact
}

// collect reads the manifests that the tags or digests name. What is gone
// meanwhile is left out.
func (r *registry) collect(ctx context.Context, found *collection, refs []string) error {
	if found.at == nil {
		found.at = map[Digest]*Artifact{}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for _, ref := range refs {
		group.Go(func() error {
			data, err := r.fetch(ctx, "manifests", ref, maxManifest)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			a, err := newArtifactEntry(digestOf(data), data)
			if err != nil {
				return err
			}
			return found.add(a, ref)
		})
	}
	return group.Wait()
}

func (c *collection) add(a Artifact, ref string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[a.Digest] == nil {
		c.at[a.Digest] = &a
	}
	d, err := ParseDigest(ref)
	switch {
	case err != nil:
		c.at[a.Digest].Tags = append(c.at[a.Digest].Tags, ref)
	case d != a.Digest:
		return fmt.Errorf("manifest %s: %w", d, ErrTampered)
	}
	return nil
}

// touch sets the tag of a push on this day.
func (r *registry) touch(ctx context.Context, d Digest) error {
	tag := pushedTag(d, time.Now())
	if _, err := r.find(ctx, tag); !errors.Is(err, ErrNotFound) {
		return err
	}
	got, err := remote.Get(r.repo.Digest(string(d)), r.options(ctx)...)
	if err != nil {
		return describe(ctx, err)
	}
	return describe(ctx, remote.Tag(r.repo.Tag(tag), got, r.options(ctx)...))
}

// remove deletes each manifest by its digest, after the list of its referrers, and
// then what tags the registry kept.
func (r *registry) remove(ctx context.Context, swept *Swept, _ []Artifact) error {
	for _, a := range swept.Deleted {
		digests := []Digest{a.Digest}
		switch list, err := r.find(ctx, referrersTag(a.Digest)); {
		case err == nil:
			digests = []Digest{list, a.Digest}
		case !errors.Is(err, ErrNotFound):
			return err
		}
		for _, d := range digests {
			if err := r.delete(ctx, r.repo.Digest(string(d))); err != nil {
				return fmt.Errorf("deleting %s: %w", d, err)
			}
		}
		for _, tag := range append(a.Tags, referrersTag(a.Digest)) {
			if _, err := r.find(ctx, tag); err != nil {
				continue
			}
			if err := r.delete(ctx, r.repo.Tag(tag)); err != nil {
				return fmt.Errorf("deleting tag %s: %w", tag, err)
			}
		}
	}
	return nil
}

// delete takes what is not there for deleted.
func (r *registry) delete(ctx context.Context, ref name.Reference) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := remote.Delete(ref, r.options(ctx)...)
	var status *transport.Error
	if errors.As(err, &status) {
		switch status.StatusCode {
		case http.StatusNotFound:
			return nil
		case http.StatusMethodNotAllowed:
			return fmt.Errorf("the registry forbids deletion (%w); to allow it in the distribution registry: REGISTRY_STORAGE_DELETE_ENABLED=true; others delete by their retention rules alone", describe(ctx, err))
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("these credentials may not delete (%w); to sign in with others: docker login %s", describe(ctx, err), r.repo.RegistryStr())
		}
	}
	return describe(ctx, err)
}
