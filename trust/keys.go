package trust

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Keys are public keys whose signatures are trusted, each of them alone.
type Keys struct {
	keys []publicKey
}

type publicKey struct {
	file      string
	verifiers []signature.Verifier
}

// maxKey bounds a file with a key.
const maxKey = 64 << 10

// LoadKeys reads public keys in PEM, such as the cosign.pub that cosign
// generate-key-pair writes: files, and the *.pub and *.pem files of directories. A
// path without a key is an error.
func LoadKeys(paths []string) (*Keys, error) {
	k := &Keys{}
	for _, p := range paths {
		files, err := keyFiles(p)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if err := k.load(f); err != nil {
				return nil, err
			}
		}
	}
	if len(k.keys) == 0 {
		return nil, errors.New("no public key is named")
	}
	return k, nil
}

func keyFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		// Hidden ones are those through which Kubernetes swaps a mounted volume.
		if !strings.HasPrefix(e.Name(), ".") && slices.Contains([]string{".pub", ".pem"}, filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: holds no public key (*.pub, *.pem)", path)
	}
	return files, nil
}

func (k *Keys) load(file string) error {
	data, err := readKey(file)
	if err != nil {
		return err
	}
	pub, err := cryptoutils.UnmarshalPEMToPublicKey(data)
	if err != nil {
		return fmt.Errorf("%s: is no public key in PEM", file)
	}
	if err := cryptoutils.ValidatePubKey(pub); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return k.add(file, pub)
}

func readKey(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKey {
		return nil, fmt.Errorf("%s: is no file of at most %d bytes", file, maxKey)
	}
	return os.ReadFile(file)
}

func (k *Keys) add(file string, pub crypto.PublicKey) error {
	// cosign signs with Ed25519ph, other tools with Ed25519.
	variants := [][]signature.LoadOption{{options.WithED25519ph()}}
	if _, ok := pub.(ed25519.PublicKey); ok {
		variants = append(variants, nil)
	}
	key := publicKey{file: file}
	for _, opts := range variants {
		v, err := signature.LoadDefaultVerifier(pub, opts...)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		key.verifiers = append(key.verifiers, v)
	}
	k.keys = append(k.keys, key)
	return nil
}

// Files are the files that the keys were read from.
func (k *Keys) Files() []string {
	files := make([]string, len(k.keys))
	for i, key := range k.keys {
		files[i] = key.file
	}
	return files
}

// String names the keys for messages.
func (k *Keys) String() string {
	return strings.Join(k.Files(), ", ")
}

// verifyEnvelope returns the payload of a DSSE envelope (JSON) of an in-toto
// statement, and the file of the key that signed it.
func (k *Keys) verifyEnvelope(envelope []byte) (key string, payload []byte, err error) {
	err = k.try(func(file string, v signature.Verifier) error {
		key = file
		v = dsse.WrapVerifier(v, dsse.WithExpectedPayloadType(payloadType), dsse.WithDecodedPayload(&payload))
		return v.VerifySignature(bytes.NewReader(envelope), nil)
	})
	return key, payload, err
}

// verify returns the file of the key that signed the message.
func (k *Keys) verify(message, sig []byte) (key string, err error) {
	err = k.try(func(file string, v signature.Verifier) error {
		key = file
		return v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message))
	})
	return key, err
}

// try goes through the keys until one fits.
func (k *Keys) try(fits func(file string, v signature.Verifier) error) error {
	err := error(ErrUntrusted)
	for _, key := range k.keys {
		for _, v := range key.verifiers {
			if err = fits(key.file, v); err == nil {
				return nil
			}
		}
	}
	return err
}
