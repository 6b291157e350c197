// Package cache keeps profiling results as OCI artifacts, by key and by digest,
// and the lock file that pins them in Git.
//
// A store is an OCI image layout directory or a repository of a registry. A
// result is one image manifest: an empty config, the result's JSON, and the raw
// output of the tools in further layers. The same result has the same digest.
//
// A key has one tag, written once and never moved: a newer result of the same key
// has its own digest and is adopted through the lock only. Reads are by digest,
// and every byte is verified; what was read once is kept in a local file per blob,
// so that an outage of the store stops no render that was ever done.
package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// ErrNotFound is wrapped by the error of a read or a search whose object the store
// does not hold.
var ErrNotFound = errors.New("not found")

// ErrTampered is wrapped by the error of a read whose bytes are not those that the
// digest names. The error says which digest and where the bytes came from.
var ErrTampered = errors.New("the bytes do not match the digest")

// Options are what a store needs to know besides its reference.
type Options struct {
	LocalDir string // where blobs that were read are kept; none when empty
	Insecure bool   // plain HTTP to any registry, not only to a local one
}

// Store holds results. It is safe for concurrent use.
type Store struct {
	backend backend
	local   *localDir
}

// backend is what tells a layout from a registry: bytes in, unverified bytes out.
type backend interface {
	// manifest and blob return the bytes filed under a digest, at most limit and
	// one, or an error that is ErrNotFound.
	manifest(ctx context.Context, d Digest) ([]byte, error)
	blob(ctx context.Context, d Digest, limit int64) ([]byte, error)
	// find returns the digest that a tag names, or an error that is ErrNotFound.
	find(ctx context.Context, tag string) (Digest, error)
	// referrers finds what is about one of the subjects. No manifest has been verified.
	referrers(ctx context.Context, subjects map[Digest]bool) ([]referrer, error)
	// put stores the artifact, and gives it the tag unless the tag is taken or empty.
	put(ctx context.Context, a *artifact, tag string) error
	// list returns every artifact that can be found, in any order.
	list(ctx context.Context) ([]Artifact, error)
	// touch dates an artifact anew.
	touch(ctx context.Context, d Digest) error
	// exclusive keeps writers out, where the store can, while do runs.
	exclusive(ctx context.Context, do func() error) error
	// remove deletes what was swept of the list, under exclusive.
	remove(ctx context.Context, swept *Swept, all []Artifact) error
	String() string
}

// layoutPrefix begins the reference of an OCI image layout directory.
const layoutPrefix = "oci-layout:"

// Open returns the store that ref names: "oci-layout:PATH" or
// "REGISTRY/REPOSITORY", with or without "oci://". It neither creates nor contacts
// the store. Credentials of a registry come from the Docker configuration.
func Open(ref string, o Options) (*Store, error) {
	if path, ok := strings.CutPrefix(ref, layoutPrefix); ok {
		if path == "" {
			return nil, fmt.Errorf("opening store %q: the path is empty", ref)
		}
		return &Store{backend: &layout{dir: path}, local: newLocalDir(o.LocalDir)}, nil
	}
	r, err := newRegistry(strings.TrimPrefix(ref, "oci://"), o.Insecure)
	if err != nil {
		return nil, err
	}
	return &Store{backend: r, local: newLocalDir(o.LocalDir)}, nil
}

// String is the reference of the store, without credentials.
func (s *Store) String() string {
	return s.backend.String()
}

// Put stores a result with its raw files and returns the digest. Storing the same
// again changes nothing. The tag of the result's key is set when it is free; two
// writers at once agree on one tag in a layout, while a registry, which has no
// compare-and-swap, may keep the later one: readers that go by digest are unharmed.
// An imported result takes no tag: a lock adopts it, and nothing else.
func (s *Store) Put(ctx context.Context, res *profile.Result, files []profile.File) (Digest, error) {
	a, err := resultArtifact(res, files)
	if err != nil {
		return "", fmt.Errorf("storing result in %s: %w", s, err)
	}
	return s.put(ctx, res, a)
}

func resultArtifact(res *profile.Result, files []profile.File) (*artifact, error) {
	data, err := res.Encode()
	if err != nil {
		return nil, err
	}
	return newArtifact(resultKind, data, files)
}

func (s *Store) put(ctx context.Context, res *profile.Result, a *artifact) (Digest, error) {
	if err := s.backend.put(ctx, a, tagFor(res)); err != nil {
		return "", fmt.Errorf("storing result %s in %s: %w", a.digest, s, err)
	}
	return a.digest, nil
}

// tagFor is the tag that a result wants, empty for none.
func tagFor(res *profile.Result) string {
	if res.Confidence == profile.Imported {
		return ""
	}
	return keyTag(res.Inputs.Key())
}

// Get returns the result of that digest, verified, from local copies where they
// are complete and else from the store.
func (s *Store) Get(ctx context.Context, d Digest) (*profile.Result, error) {
	res, err := s.result(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("fetching result %s from %s: %w", d, s, err)
	}
	return res, nil
}

func (s *Store) result(ctx context.Context, d Digest) (*profile.Result, error) {
	m, err := s.manifest(ctx, resultKind, d)
	if err != nil {
		return nil, err
	}
	data, err := s.layer(ctx, m.document, true)
	if err != nil {
		return nil, err
	}
	return profile.ParseResult(data)
}

// Files returns the raw tool output kept with the result of that digest, by name.
func (s *Store) Files(ctx context.Context, d Digest) ([]profile.File, error) {
	m, err := s.manifest(ctx, resultKind, d)
	if err != nil {
		return nil, fmt.Errorf("fetching files of result %s from %s: %w", d, s, err)
	}
	files, err := s.files(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("fetching files of result %s from %s: %w", d, s, err)
	}
	return files, nil
}

func (s *Store) files(ctx context.Context, m *manifest) ([]profile.File, error) {
	var files []profile.File
	for _, l := range m.files {
		data, err := s.layer(ctx, l, false)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", l.name, err)
		}
		files = append(files, profile.File{Name: l.name, MediaType: l.mediaType, Data: data})
	}
	return files, nil
}

// Find returns the digest that the tag of the key names. The tag is a name, not a
// proof: whoever goes by it compares the key of the result that Get returns.
func (s *Store) Find(ctx context.Context, key profile.Key) (Digest, error) {
	if _, err := ParseDigest(string(key)); err != nil {
		return "", fmt.Errorf("searching key: %w", err)
	}
	d, err := s.backend.find(ctx, keyTag(key))
	if err != nil {
		return "", fmt.Errorf("searching key %s in %s: %w", key, s, err)
	}
	return d, nil
}

// manifest returns the parsed manifest of that kind and digest.
func (s *Store) manifest(ctx context.Context, k kind, d Digest) (*manifest, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return nil, err
	}
	data, err := s.local.read(d, maxManifest)
	if err != nil {
		return nil, err
	}
	if data == nil {
		if data, err = s.backend.manifest(ctx, d); err != nil {
			return nil, err
		}
		if len(data) > maxManifest {
			return nil, fmt.Errorf("manifest is larger than %d bytes", maxManifest)
		}
		if err := d.verify(data); err != nil {
			return nil, err
		}
		s.local.write(d, data)
	}
	return parseManifest(k, data)
}

// layer returns the verified bytes of a layer, kept locally where keep says so.
func (s *Store) layer(ctx context.Context, l layer, keep bool) ([]byte, error) {
	if keep {
		if data, err := s.local.read(l.digest, l.size); data != nil || err != nil {
			return data, err
		}
	}
	data, err := s.backend.blob(ctx, l.digest, l.size)
	if err != nil {
		return nil, err
	}
	if err := l.digest.verify(data); err != nil {
		return nil, err
	}
	if int64(len(data)) != l.size {
		return nil, fmt.Errorf("blob %s is %d bytes, its descriptor says %d", l.digest, len(data), l.size)
	}
	if keep {
		s.local.write(l.digest, data)
	}
	return data, nil
}
