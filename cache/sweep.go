package cache

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Sweep says what of a store may go.
type Sweep struct {
	Keep   map[Digest]bool // results that something refers to
	Before time.Time       // what was pushed later stays
	DryRun bool            // nothing is deleted
}

// Swept is what a sweep deleted, or would delete.
type Swept struct {
	Deleted []Artifact // what refers to an artifact comes before it
	Bytes   int64      // of the blobs that nothing which stays names
	Kept    int        // artifacts that stay
	Dated   []Digest   // in a registry: had no date, their age counts from now
}

// Sweep deletes the results that nobody keeps, the measurements, and what refers
// to either, as signatures do, when they are old enough. What else the store holds
// stays, and so does every artifact that somebody gave a tag of his own.
//
// A layout is swept under its lock, and the index goes before the blobs. A registry
// has no lock: what is pushed again while it is swept may go; its space is free once
// it collects its own garbage. A sweep that is interrupted leaves nothing that the
// next one does not find.
func (s *Store) Sweep(ctx context.Context, w Sweep) (*Swept, error) {
	var swept *Swept
	err := s.backend.exclusive(ctx, func() error {
		var err error
		swept, err = s.sweep(ctx, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sweeping %s: %w", s, err)
	}
	return swept, nil
}

func (s *Store) sweep(ctx context.Context, w Sweep) (*Swept, error) {
	all, err := s.artifacts(ctx)
	if err != nil {
		return nil, err
	}
	swept := &Swept{}
	doomed := map[Digest]bool{}
	for _, a := range all {
		switch {
		case !w.condemns(&a):
		case a.Pushed.IsZero():
			swept.Dated = append(swept.Dated, a.Digest)
		case !a.Pushed.After(w.Before):
			doomed[a.Digest] = true
		}
	}
	if all, err = s.withReferrers(ctx, all, doomed); err != nil {
		return nil, err
	}
	swept.plan(all, doomed)
	if w.DryRun {
		return swept, nil
	}
	for _, d := range swept.Dated {
		if err := s.backend.touch(ctx, d); err != nil {
			return nil, fmt.Errorf("dating %s: %w", d, err)
		}
	}
	return swept, s.backend.remove(ctx, swept, all)
}

// condemns reports whether the artifact goes once it is old enough.
func (w Sweep) condemns(a *Artifact) bool {
	return (a.IsResult() || a.IsMeasurement()) && !w.Keep[a.Digest] && !a.named()
}

// withReferrers is the list with what refers to the doomed, which is doomed too
// unless somebody named it, and so on.
func (s *Store) withReferrers(ctx context.Context, all []Artifact, doomed map[Digest]bool) ([]Artifact, error) {
	next := doomed
	for len(next) > 0 {
		found, err := s.about(ctx, next)
		if err != nil {
			return nil, err
		}
		next = map[Digest]bool{}
		for _, r := range found {
			i := slices.IndexFunc(all, func(a Artifact) bool { return a.Digest == r.Digest })
			if i < 0 {
				i, all = len(all), append(all, r)
			}
			if !doomed[r.Digest] && !all[i].named() {
				next[r.Digest] = true
			}
		}
		for d := range next {
			doomed[d] = true
		}
	}
	return all, nil
}

// plan orders the doomed so that a referrer goes before its subject: a sweep that
// ends in between leaves what it began with findable.
func (w *Swept) plan(all []Artifact, doomed map[Digest]bool) {
	kept := map[Digest]bool{}
	depth := map[Digest]int{}
	subject := map[Digest]Digest{}
	for _, a := range all {
		subject[a.Digest] = a.subject()
		if !doomed[a.Digest] {
			w.Kept++
			for _, b := range a.blobs {
				kept[b.digest] = true
			}
		}
	}
	deepest := 0
	for d := range doomed {
		for at := subject[d]; at != "" && depth[d] < len(all); at = subject[at] {
			depth[d]++
		}
		deepest = max(deepest, depth[d])
	}
	for level := deepest; level >= 0; level-- {
		for _, a := range all {
			if !doomed[a.Digest] || depth[a.Digest] != level {
				continue
			}
			w.Deleted = append(w.Deleted, a)
			for _, b := range a.blobs {
				if !kept[b.digest] {
					kept[b.digest] = true
					w.Bytes += b.size
				}
			}
		}
	}
}
