package cache

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// FuzzParseLock: an error names the file; an update of what is accepted keeps every
// entry of another name, adds its own, and changes nothing when it is made again.
func FuzzParseLock(f *testing.F) {
	f.Add([]byte("apiVersion: dynamo-cmp.github.io/v1\nkind: ProfileLock\nprofiles:\n- name: a\n  key: {}\n"))
	f.Add([]byte("? [a]\n: - *b\n<<: {}\n"))
	f.Add([]byte("--- !!str a\n...\n--- b"))
	archives, err := filepath.Glob("testdata/lock_*.txtar")
	require.NoError(f, err)
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		require.NoError(f, err)
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	example, err := os.ReadFile("../examples/gitops-repo/apps/llama-70b/dynamo.lock")
	require.NoError(f, err)
	f.Add(example)
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := ParseLock(LockFile, data)
		if err != nil {
			var problems profile.Problems
			require.True(t, errors.As(err, &problems) && len(problems) > 0)
			for _, p := range problems {
				require.Equal(t, LockFile, p.File)
			}
			_, err = mergeLock(LockFile, data, []LockEntry{lockEntry(1)})
			require.Error(t, err)
			return
		}
		merged, err := mergeLock(LockFile, data, []LockEntry{lockEntry(1)})
		if err != nil || merged == nil {
			return
		}
		again, err := mergeLock(LockFile, merged, []LockEntry{lockEntry(1)})
		require.NoError(t, err)
		require.Nil(t, again)
		updated, err := ParseLock(LockFile, merged)
		require.NoError(t, err)
		for _, e := range lock.Profiles {
			if e.Name != lockEntry(1).Name {
				got, ok := updated.Entry(e.Name)
				require.True(t, ok, e.Name)
				require.Equal(t, e, got)
			}
		}
		got, ok := updated.Entry(lockEntry(1).Name)
		require.True(t, ok)
		require.Equal(t, lockEntry(1).Result, got.Result)
	})
}

// FuzzManifest: a manifest that is taken names blobs within the limits, under names
// that stay in a directory.
func FuzzManifest(f *testing.F) {
	for _, name := range []string{"353ae6e78ef6c32c637639025cc571882c5d210f597822d61dc5ccf851031321", "f0cfb9b37c4783646781585007d132bebd7da3a3454990bbd223ef023654cec6"} {
		data, err := os.ReadFile("../examples/gitops-repo/.dynamo-cmp/store/blobs/sha256/" + name)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(resultKind, data)
		if err != nil {
			return
		}
		require.LessOrEqual(t, m.document.size, int64(maxDocument))
		names := map[string]bool{m.document.name: true}
		for _, l := range m.files {
			require.LessOrEqual(t, l.size, int64(maxFile))
			require.Equal(t, filepath.Join("/d", l.name), "/d/"+l.name)
			require.False(t, names[l.name])
			names[l.name] = true
			_, err := ParseDigest(string(l.digest))
			require.NoError(t, err)
		}
	})
}

// FuzzIndex: adding a result to an index keeps every other entry and gives the tag to
// one manifest; adding it again changes nothing.
func FuzzIndex(f *testing.F) {
	example, err := os.ReadFile("../examples/gitops-repo/.dynamo-cmp/store/index.json")
	require.NoError(f, err)
	f.Add(example)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`))
	a, err := resultArtifact(sample(1, "1"), nil)
	require.NoError(f, err)
	tag := keyTag(sample(1, "1").Inputs.Key())
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"` + string(a.digest) + `","annotations":{"` + tagAnnotation + `":"x"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := parseIndex(data)
		if err != nil {
			return
		}
		before := index.DeepCopy()
		addManifest(index, a, tag)
		for _, desc := range before.Manifests {
			if desc.Digest.String() != string(a.digest) {
				require.Contains(t, index.Manifests, desc)
			}
		}
		once, err := json.Marshal(index)
		require.NoError(t, err)
		addManifest(index, a, tag)
		twice, err := json.Marshal(index)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
	})
}

// FuzzBundle: what is loaded of an archive is whole, and nothing of it is stored
// anywhere but in the store.
func FuzzBundle(f *testing.F) {
	var b bytes.Buffer
	from := &Store{backend: &layout{dir: f.TempDir()}}
	d, err := from.Put(f.Context(), sample(1, "1"), nil)
	require.NoError(f, err)
	_, err = WriteBundle(f.Context(), &b, []Selection{{from, []Digest{d}}}, nil)
	require.NoError(f, err)
	f.Add(b.Bytes())
	var outside bytes.Buffer
	w := tar.NewWriter(&outside)
	require.NoError(f, errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: indexFile, Linkname: "/etc/passwd"}), w.Close()))
	f.Add(outside.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		to := &Store{backend: &layout{dir: filepath.Join(parent, "store")}}
		loaded, err := LoadBundle(t.Context(), bytes.NewReader(data), to)
		entries, readErr := os.ReadDir(parent)
		require.NoError(t, readErr)
		if err != nil {
			require.Regexp(t, "^(reading|loading) bundle: ", err.Error())
		} else {
			for _, d := range loaded.Results {
				_, err := to.Files(t.Context(), d)
				require.NoError(t, err)
			}
		}
		require.LessOrEqual(t, len(entries), 1)
	})
}
