package trust

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// Signer signs results with a private key.
type Signer struct {
	signer signature.Signer
	hint   string
	keys   *Keys
}

// LoadSigner reads a private key in PEM: one of cosign generate-key-pair, which the
// password decrypts, or one that is not encrypted. No error holds any of it.
func LoadSigner(file, password string) (*Signer, error) {
	data, err := readKey(file)
	if err != nil {
		return nil, err
	}
	key, err := parsePrivateKey(data, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	s, err := signature.LoadDefaultSigner(key, options.WithED25519ph())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	pub, err := s.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(pub)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	sum := sha256.Sum256(der)
	keys := &Keys{}
	if err := keys.add(file, pub); err != nil {
		return nil, err
	}
	return &Signer{signer: s, hint: base64.StdEncoding.EncodeToString(sum[:]), keys: keys}, nil
}

func parsePrivateKey(data []byte, password string) (crypto.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("is no private key in PEM")
	}
	if !strings.HasPrefix(block.Type, "ENCRYPTED ") {
		// The cause stays out: it may quote what it could not read.
		key, err := cryptoutils.UnmarshalPEMToPrivateKey(data, cryptoutils.SkipPassword)
		if err != nil {
			return nil, errors.New("is no private key in PEM that is known here")
		}
		return key, nil
	}
	if block.Type != "ENCRYPTED SIGSTORE PRIVATE KEY" && block.Type != "ENCRYPTED COSIGN PRIVATE KEY" {
		return nil, errors.New("is encrypted, and not by cosign; to import it: cosign import-key-pair")
	}
	der, err := encrypted.Decrypt(block.Bytes, []byte(password))
	if err != nil {
		return nil, errors.New("cannot be decrypted; to give its password: COSIGN_PASSWORD")
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("is no private key in PEM that is known here")
	}
	return key, nil
}

// Keys is the public half of the key.
func (s *Signer) Keys() *Keys {
	return s.keys
}

// Sign says of the result of that digest that it is trusted, as cosign sign does.
func (s *Signer) Sign(d cache.Digest) (cache.Attachment, error) {
	return s.state(d, signPredicate, struct{}{})
}

// Attest says where the result of that digest comes from.
func (s *Signer) Attest(d cache.Digest, p Provenance) (cache.Attachment, error) {
	p.BuildDefinition.BuildType = buildType
	return s.state(d, provenancePredicate, p)
}

func (s *Signer) state(d cache.Digest, predicateType string, predicate any) (cache.Attachment, error) {
	encoded, err := json.Marshal(predicate)
	if err != nil {
		return cache.Attachment{}, fmt.Errorf("encoding %s: %w", predicateType, err)
	}
	payload, err := json.Marshal(statement{Type: statementType, Subject: []subject{newSubject(d)}, PredicateType: predicateType, Predicate: encoded})
	if err != nil {
		return cache.Attachment{}, fmt.Errorf("encoding statement: %w", err)
	}
	signed, err := dsse.WrapSigner(s.signer, payloadType).SignMessage(bytes.NewReader(payload))
	if err != nil {
		return cache.Attachment{}, fmt.Errorf("signing %s: %w", d, err)
	}
	return newBundle(signed, s.hint, predicateType)
}
