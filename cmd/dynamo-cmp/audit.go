package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// audited is a locked result and what is wrong with it.
type audited struct {
	File       string             `json:"file"`
	Line       int                `json:"line"`
	Request    string             `json:"request"`
	Key        profile.Key        `json:"key"`
	Result     cache.Digest       `json:"result"`
	Confidence profile.Confidence `json:"confidence"` // of the result; the lock's where it cannot be read
	Engine     string             `json:"engine,omitempty"`
	SignedBy   string             `json:"signedBy,omitempty"` // file of the key
	MadeOn     *time.Time         `json:"madeOn,omitempty"`   // attested by a trusted key
	Violations []violation        `json:"violations"`
}

// violation is one reason to refuse a result. Its rule is a name that scripts know.
type violation struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// rules are the rules of an audit and what each is about.
func rules() [][2]string {
	return [][2]string{
		{"missing", "A locked result is in the store"},
		{"tampered", "The bytes of a locked result are those that its digest names"},
		{"inputs", "A locked result answers the key of its lock entry"},
		{"lock-confidence", "A lock entry says the confidence of its result"},
		{"select", "A lock entry selects a configuration that its result has"},
		{"signature", "A locked result is signed by a trusted key"},
		{"confidence", "A locked result has a confidence that the policy allows"},
		{"backend", "A locked result has a backend that the policy allows"},
		{"age", "A locked result is attested to be no older than the policy allows"},
	}
}

// auditor holds locked results against a policy.
type auditor struct {
	store  string // empty: that of the repository
	keys   *trust.Keys
	policy policy
	now    time.Time
}

// below audits the locks of a directory and everything below it, but hidden
// directories and testdata, as dynamo-profile-runner searches. A directory without
// any is an error: nothing was audited.
func (a *auditor) below(ctx context.Context, dir string) ([]audited, error) {
	tree, rel, err := openTree(dir)
	if err != nil {
		return nil, &codedError{exitInput, err}
	}
	defer tree.Close()
	var dirs []string
	err = fs.WalkDir(os.DirFS(tree.Root()), rel, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != rel && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.IsDir() && d.Name() == cache.LockFile:
			dirs = append(dirs, path.Dir(p))
		}
		return nil
	})
	if err != nil {
		return nil, &codedError{exitInput, fmt.Errorf("searching %s: %w", dir, err)}
	}
	if len(dirs) == 0 {
		return nil, &codedError{exitInput, fmt.Errorf("%s: no %s here or below; to lock results: dynamo-profile-runner run %s", dir, cache.LockFile, dir)}
	}
	all := []audited{}
	for _, d := range dirs {
		found, err := a.lock(ctx, tree, d)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (a *auditor) lock(ctx context.Context, tree *render.Tree, dir string) ([]audited, error) {
	name := path.Join(dir, cache.LockFile)
	data, err := tree.Read(name)
	if err != nil {
		return nil, &codedError{exitInput, err}
	}
	lock, err := cache.ParseLock(name, data)
	if err != nil {
		return nil, err
	}
	ref := a.store
	if ref == "" {
		ref = cache.Embedded(tree.Root(), dir)
	}
	// Without local copies: what is in the store is what others will read.
	store, err := cache.Open(ref, cache.Options{})
	if err != nil {
		return nil, &codedError{exitInput, fmt.Errorf("--store: %w", err)}
	}
	lines := entryLines(data)
	var all []audited
	for _, e := range lock.Profiles {
		row := audited{File: name, Line: lines[e.Name], Request: e.Name, Key: e.Key, Result: e.Result, Confidence: e.Confidence, Violations: []violation{}}
		if err := a.entry(ctx, store, e, &row); err != nil {
			return nil, &codedError{exitStore, fmt.Errorf("%s:%d: request %q: %w", row.File, row.Line, row.Request, err)}
		}
		all = append(all, row)
	}
	return all, nil
}

// entryLines are the lines of the entries of a valid lock, by name.
func entryLines(lock []byte) map[string]int {
	var doc struct{ Profiles []yaml.Node }
	lines := map[string]int{}
	if yaml.Unmarshal(lock, &doc) != nil {
		return lines
	}
	for i := range doc.Profiles {
		if name := child(&doc.Profiles[i], "name"); name != nil {
			lines[name.Value] = doc.Profiles[i].Line
		}
	}
	return lines
}

// selectLine is the line of the select of an entry of a valid lock.
func selectLine(lock []byte, name string) int {
	var doc struct{ Profiles []yaml.Node }
	if yaml.Unmarshal(lock, &doc) != nil {
		return 0
	}
	for i := range doc.Profiles {
		entry := &doc.Profiles[i]
		if n, chosen := child(entry, "name"), child(entry, "select"); n != nil && chosen != nil && n.Value == name {
			return chosen.Line
		}
	}
	return 0
}

func (row *audited) violate(rule, format string, args ...any) {
	row.Violations = append(row.Violations, violation{rule, fmt.Sprintf(format, args...)})
}

// entry audits one result. The error is one of the store, which says nothing about
// the result.
func (a *auditor) entry(ctx context.Context, store *cache.Store, e cache.LockEntry, row *audited) error {
	res, err := store.Get(ctx, e.Result)
	switch {
	case errors.Is(err, cache.ErrTampered):
		row.violate("tampered", "%s", err)
		return nil
	case errors.Is(err, cache.ErrNotFound):
		row.violate("missing", "%s", err)
		return nil
	case err != nil:
		return err
	}
	if e.Select > 0 {
		chosen, err := res.Select(e.Select)
		if err != nil {
			row.violate("select", "select %s", err)
		} else {
			res = chosen
		}
	}
	row.Confidence = res.Confidence
	row.Engine = strings.TrimSpace(string(res.Pick.Backend) + " " + res.Pick.BackendVersion)
	if key := res.Inputs.Key(); key != e.Key {
		row.violate("inputs", "result %s answers key %s, not %s of its lock entry", e.Result, key, e.Key)
	}
	if res.Confidence != e.Confidence {
		row.violate("lock-confidence", "result %s is %s, and its lock entry says %s", e.Result, res.Confidence, e.Confidence)
	}
	if err := a.signature(ctx, store, row); err != nil {
		return err
	}
	a.demands(res, row)
	return nil
}

func (a *auditor) signature(ctx context.Context, store *cache.Store, row *audited) error {
	if a.keys == nil {
		return nil
	}
	v, err := a.keys.VerifyStored(ctx, store, row.Result)
	switch {
	case errors.Is(err, trust.ErrUntrusted) || errors.Is(err, cache.ErrTampered):
		row.violate("signature", "%s", err)
		return nil
	case err != nil:
		return err
	}
	row.SignedBy = v.Key
	if v.Provenance != nil && !v.Provenance.RunDetails.Metadata.FinishedOn.IsZero() {
		row.MadeOn = &v.Provenance.RunDetails.Metadata.FinishedOn
	}
	return nil
}

func (a *auditor) demands(res *profile.Result, row *audited) {
	p := a.policy
	if c := string(res.Confidence); len(p.confidences) > 0 && !slices.Contains(p.confidences, c) {
		row.violate("confidence", "result %s is %s, and the policy allows %s", row.Result, c, strings.Join(p.confidences, ", "))
	}
	if b := string(res.Pick.Backend); len(p.backends) > 0 && !slices.Contains(p.backends, b) {
		row.violate("backend", "result %s is for %s, and the policy allows %s", row.Result, b, strings.Join(p.backends, ", "))
	}
	switch {
	case p.maxAge == 0:
	case row.MadeOn == nil:
		row.violate("age", "no trusted key attests when result %s was made, and the policy allows %s", row.Result, days(p.maxAge))
	case a.now.Sub(*row.MadeOn) > p.maxAge:
		row.violate("age", "result %s is %s old, and the policy allows %s", row.Result, days(a.now.Sub(*row.MadeOn)), days(p.maxAge))
	}
}

// days is a duration as people count it.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}
