package trust

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	bundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	envelope "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// The media types of signatures: Sigstore's bundle, and the payload that cosign
// signed before there were bundles (its specs/SIGNATURE_SPEC.md).
const (
	bundleType          = "application/vnd.dev.sigstore.bundle.v0.3+json"
	simpleSigning       = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// jsonEnvelope is a DSSE envelope (secure-systems-lab/dsse, envelope.md).
type jsonEnvelope struct {
	PayloadType string          `json:"payloadType"`
	Payload     string          `json:"payload"`
	Signatures  []jsonSignature `json:"signatures"`
}

type jsonSignature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// envelopeOf returns the DSSE envelope in a bundle, as JSON.
func envelopeOf(data []byte) ([]byte, error) {
	var b bundle.Bundle
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("decoding bundle: %w", err)
	}
	e := b.GetDsseEnvelope()
	if e == nil {
		return nil, errors.New("the bundle holds no DSSE envelope")
	}
	out := jsonEnvelope{PayloadType: e.PayloadType, Payload: base64.StdEncoding.EncodeToString(e.Payload)}
	for _, s := range e.Signatures {
		// Without the key's name: whether a key fits is seen by trying it.
		out.Signatures = append(out.Signatures, jsonSignature{Sig: base64.StdEncoding.EncodeToString(s.Sig)})
	}
	return json.Marshal(out)
}

// newBundle is the attachment that holds a DSSE envelope (JSON). hint says which
// key signed it, as cosign's hints do.
func newBundle(signed []byte, hint, predicate string) (cache.Attachment, error) {
	var e jsonEnvelope
	if err := json.Unmarshal(signed, &e); err != nil {
		return cache.Attachment{}, fmt.Errorf("decoding envelope: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return cache.Attachment{}, fmt.Errorf("decoding envelope: %w", err)
	}
	content := &envelope.Envelope{PayloadType: e.PayloadType, Payload: payload}
	for _, s := range e.Signatures {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			return cache.Attachment{}, fmt.Errorf("decoding envelope: %w", err)
		}
		content.Signatures = append(content.Signatures, &envelope.Signature{Sig: sig})
	}
	data, err := protojson.Marshal(&bundle.Bundle{
		MediaType: bundleType,
		VerificationMaterial: &bundle.VerificationMaterial{
			Content: &bundle.VerificationMaterial_PublicKey{PublicKey: &common.PublicKeyIdentifier{Hint: hint}},
		},
		Content: &bundle.Bundle_DsseEnvelope{DsseEnvelope: content},
	})
	if err != nil {
		return cache.Attachment{}, fmt.Errorf("encoding bundle: %w", err)
	}
	return cache.Attachment{MediaType: bundleType, Data: data, Annotations: map[string]string{
		"dev.sigstore.bundle.content":       "dsse-envelope",
		"dev.sigstore.bundle.predicateType": predicate,
	}}, nil
}

// openSimple verifies a signature that is no bundle, and returns the file of the
// key that made it.
func (k *Keys) openSimple(d cache.Digest, at cache.Attachment) (key string, err error) {
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(at.Annotations[signatureAnnotation]))
	if err != nil {
		return "", fmt.Errorf("decoding signature: %w", err)
	}
	key, err = k.verify(at.Data, sig)
	if err != nil {
		return "", err
	}
	var payload struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(at.Data, &payload); err != nil {
		return "", fmt.Errorf("decoding payload: %w", err)
	}
	if payload.Critical.Type != "cosign container image signature" || payload.Critical.Image.Digest != string(d) {
		return "", fmt.Errorf("the signature is not of %s", d)
	}
	return key, nil
}
