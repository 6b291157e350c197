package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"
)

// maxReferrers bounds a list of referrers.
const maxReferrers = 4 << 20

// withoutReferrers is how registries answer that do not know the path.
func withoutReferrers() []int {
	return []int{http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented}
}

// referrers asks for the list of each subject, and for the tags of cosign.
func (r *registry) referrers(ctx context.Context, subjects map[Digest]bool) ([]referrer, error) {
	found := make([][]referrer, len(subjects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	i := 0
	for d := range subjects {
		into := &found[i]
		i++
		group.Go(func() (err error) {
			*into, err = r.referrersOf(ctx, d)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(found...), err
}

func (r *registry) referrersOf(ctx context.Context, d Digest) ([]referrer, error) {
	found, err := r.listed(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("referrers of %s: %w", d, err)
	}
	for _, tag := range cosignTags(d) {
		switch at, err := r.find(ctx, tag); {
		case err == nil:
			found = append(found, referrer{at, tag})
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return found, nil
}

// listed asks the registry, and where it has no such API reads the list that
// clients keep under a tag (its specification, "Listing Referrers").
func (r *registry) listed(ctx context.Context, d Digest) ([]referrer, error) {
	data, err := r.fetch(ctx, "referrers", string(d), maxReferrers)
	if errors.Is(err, ErrNotFound) {
		data, err = r.fetch(ctx, "manifests", referrersTag(d), maxReferrers)
	}
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	index, err := parseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("list of them: %w", err)
	}
	var found []referrer
	for _, desc := range index.Manifests {
		if at, err := ParseDigest(desc.Digest.String()); err == nil {
			found = append(found, referrer{digest: at})
		}
	}
	return found, nil
}
