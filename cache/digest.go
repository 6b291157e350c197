package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Digest names bytes by their SHA-256: sha256:<64 lower-case hex digits>. The
// digest of a result is the one of its OCI manifest.
type Digest string

// ParseDigest returns s as a Digest if it is well formed.
func ParseDigest(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(digits) != hex.EncodedLen(sha256.Size) || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is not sha256: and 64 lower-case hex digits", shorten(s))
	}
	return Digest(s), nil
}

func digestOf(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func (d Digest) verify(data []byte) error {
	if digestOf(data) != d {
		return fmt.Errorf("blob %s: %w", d, ErrTampered)
	}
	return nil
}

// hex is the digest without its algorithm.
func (d Digest) hex() string {
	return strings.TrimPrefix(string(d), "sha256:")
}

// keyTag is the tag of a key. A tag must not hold a colon.
func keyTag(key profile.Key) string {
	return strings.Replace(string(key), ":", "-", 1)
}

// shorten cuts text of unknown origin for an error message.
func shorten(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
