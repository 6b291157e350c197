// Package trust says who vouches for a result: it signs the digests of results
// and statements about them, and verifies both.
//
// A signature is an in-toto statement in a Sigstore bundle, attached to the result
// as an OCI referrer, as cosign makes and verifies them with a key pair; a
// signature that cosign keeps under a tag verifies too. Nothing here needs a
// network but for the store: there are no certificates and no transparency log.
package trust

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// ErrUntrusted is wrapped by the error of a verification that found no signature
// of a trusted key.
var ErrUntrusted = errors.New("not trusted")

// Verdict is what trusted keys say about a result.
type Verdict struct {
	Key        string      // that signed it: its file, as Keys were given it
	Provenance *Provenance // the latest that a trusted key attests; nil without one
}

// Verify looks for a signature of the result of that digest by one of the keys, in
// local copies first: what was verified once needs no network. The error is
// ErrUntrusted where there is none.
func (k *Keys) Verify(ctx context.Context, store *cache.Store, d cache.Digest) (*Verdict, error) {
	if v := k.judge(d, store.LocalAttachments(d)); v.Key != "" {
		return v, nil
	}
	return k.VerifyStored(ctx, store, d)
}

// VerifyStored is Verify without local copies: attestations that came later count.
func (k *Keys) VerifyStored(ctx context.Context, store *cache.Store, d cache.Digest) (*Verdict, error) {
	attachments, err := store.Attachments(ctx, d)
	if err != nil {
		return nil, err
	}
	v := k.judge(d, attachments)
	switch {
	case v.Key != "":
		return v, nil
	case len(attachments) == 0:
		return nil, untrusted{fmt.Sprintf("result %s is not signed", d)}
	}
	return nil, untrusted{fmt.Sprintf("result %s is signed by none of the trusted keys (%s)", d, k)}
}

// untrusted is an ErrUntrusted that says it in words of its own.
type untrusted struct{ text string }

func (e untrusted) Error() string        { return e.text }
func (e untrusted) Is(target error) bool { return target == ErrUntrusted }

// judge takes from attachments what is true: those that no key vouches for are
// passed over, since anybody may attach anything.
func (k *Keys) judge(d cache.Digest, attachments []cache.Attachment) *Verdict {
	v := &Verdict{}
	for _, at := range attachments {
		key, s, err := k.open(d, at)
		if err != nil {
			continue
		}
		switch s.PredicateType {
		case signPredicate:
			v.Key = cmp.Or(v.Key, key)
		case provenancePredicate:
			var p Provenance
			if json.Unmarshal(s.Predicate, &p) == nil && (v.Provenance == nil || p.finished().After(v.Provenance.finished())) {
				v.Provenance = &p
			}
		}
	}
	return v
}

// open returns the statement that an attachment makes about d, and the file of the
// trusted key that signed it.
func (k *Keys) open(d cache.Digest, at cache.Attachment) (key string, s *statement, err error) {
	if at.MediaType == simpleSigning {
		key, err = k.openSimple(d, at)
		return key, &statement{PredicateType: signPredicate}, err
	}
	envelope, err := envelopeOf(at.Data)
	if err != nil {
		return "", nil, err
	}
	key, payload, err := k.verifyEnvelope(envelope)
	if err != nil {
		return "", nil, err
	}
	s = &statement{}
	if err := json.Unmarshal(payload, s); err != nil {
		return "", nil, fmt.Errorf("decoding statement: %w", err)
	}
	if !strings.HasPrefix(s.Type, statementPrefix) || !s.about(d) {
		return "", nil, fmt.Errorf("the statement is not about %s", d)
	}
	return key, s, nil
}
