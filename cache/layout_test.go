package cache

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

// snapshot is every file of a directory with its bytes.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		files[strings.TrimPrefix(name, dir+"/")] = string(data)
		return err
	}))
	return files
}

// requireValid reads the layout as another tool would, down to every blob.
func requireValid(t *testing.T, dir string, manifests int) {
	t.Helper()
	index, err := ggcr.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	m, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, m.Manifests, manifests)
	for name := range snapshot(t, dir) {
		require.NotContains(t, name, tempPrefix)
	}
}

func TestLayoutIsReadByOtherTools(t *testing.T) {
	dir := t.TempDir()
	s := open(t, layoutPrefix+dir, Options{})
	first := put(t, s, sample(1, "1"), sampleFiles()...)
	second := put(t, s, sample(1, "2"))
	requireValid(t, dir, 2)
	index, err := ggcr.ImageIndexFromPath(dir)
	require.NoError(t, err)
	m, err := index.IndexManifest()
	require.NoError(t, err)
	tags := map[string]string{}
	for _, desc := range m.Manifests {
		require.Equal(t, resultKind.mediaType, desc.ArtifactType)
		tags[desc.Digest.String()] = desc.Annotations[tagAnnotation]
	}
	require.Equal(t, map[string]string{string(first): keyTag(sample(1, "1").Inputs.Key()), string(second): ""}, tags)
}

func TestLayoutDoesNotDependOnTheOrderOfWriters(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for i := range 5 {
		put(t, open(t, layoutPrefix+a, Options{}), sample(i, "1"))
		put(t, open(t, layoutPrefix+b, Options{}), sample(4-i, "1"))
	}
	require.Equal(t, snapshot(t, a), snapshot(t, b))
}

// A second put writes nothing: it dates the manifest, so that no sweep takes the
// result from under somebody who is about to lock it.
func TestLayoutSecondPutDatesOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, layoutPrefix+dir, Options{})
	d := put(t, s, sample(1, "1"), sampleFiles()...)
	manifest, old := filepath.Join(blobsDir, d.hex()), time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, manifest), old, old))
	before := modTimes(t, dir)
	put(t, s, sample(1, "1"), sampleFiles()...)
	after := modTimes(t, dir)
	require.WithinDuration(t, time.Now(), after[manifest], time.Minute)
	delete(before, manifest)
	delete(after, manifest)
	require.Equal(t, before, after)
}

// A store that has looked in an index sees what others write to it, also within what a
// file system calls the same time.
func TestLayoutSeesWhatOthersPut(t *testing.T) {
	dir := t.TempDir()
	reader, writer := open(t, layoutPrefix+dir, Options{}), open(t, layoutPrefix+dir, Options{})
	now := time.Now()
	hourAgo := now.Add(-time.Hour)
	for i, written := range []time.Time{now, now, hourAgo, hourAgo, hourAgo} {
		res := sample(i+1, "1")
		_, err := reader.Find(t.Context(), res.Inputs.Key())
		require.ErrorIs(t, err, ErrNotFound)
		want := put(t, writer, res)
		require.NoError(t, os.Chtimes(filepath.Join(dir, indexFile), written, written))
		for range 2 {
			got, err := reader.Find(t.Context(), res.Inputs.Key())
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
	require.NoError(t, os.Remove(filepath.Join(dir, indexFile)))
	_, err := reader.Find(t.Context(), sample(1, "1").Inputs.Key())
	require.ErrorIs(t, err, ErrNotFound)
}

func modTimes(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	for name := range snapshot(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		times[name] = info.ModTime()
	}
	return times
}

func TestLayoutKeepsWhatOthersPutThere(t *testing.T) {
	dir := t.TempDir()
	s := open(t, layoutPrefix+dir, Options{})
	put(t, s, sample(1, "1"))
	path, err := ggcr.FromPath(dir)
	require.NoError(t, err)
	other := v1.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 2,
		Digest: v1.Hash{Algorithm: "sha256", Hex: digestOf([]byte("{}")).hex()}, Annotations: map[string]string{tagAnnotation: "latest"}}
	require.NoError(t, path.AppendDescriptor(other))
	put(t, s, sample(2, "1"))
	index, err := parseIndex([]byte(snapshot(t, dir)[indexFile]))
	require.NoError(t, err)
	require.Len(t, index.Manifests, 3)
	require.Contains(t, index.Manifests, other)
}

func TestLayoutChangedBlobs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, layoutPrefix+dir, Options{})
	d := put(t, s, sample(1, "1"), sampleFiles()...)
	for name, good := range snapshot(t, filepath.Join(dir, blobsDir)) {
		file := filepath.Join(dir, blobsDir, name)
		require.NoError(t, os.WriteFile(file, []byte(good+"x"), 0o644))
		_, err := s.Files(t.Context(), d)
		if good == emptyConfig {
			require.NoError(t, err) // nobody reads it
		} else if _, getErr := s.Get(t.Context(), d); getErr != nil {
			err = getErr
		}
		if good != emptyConfig {
			require.ErrorIs(t, err, ErrTampered)
			require.ErrorContains(t, err, "blob sha256:"+name)
		}
		require.Equal(t, d, put(t, s, sample(1, "1"), sampleFiles()...)) // a put mends it
	}
	requireValid(t, dir, 1)
	_, err := s.Get(t.Context(), d)
	require.NoError(t, err)
}

func TestLayoutRefusesStrangeDirectories(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"files of others":     {"README.md", "hello", `the directory is no OCI image layout: it holds "README.md" and no oci-layout`},
		"a later version":     {layoutFile, `{"imageLayoutVersion":"2.0.0"}`, `oci-layout: is not of version 1.0.0`},
		"a broken oci-layout": {layoutFile, ``, `oci-layout: is not of version 1.0.0`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o644))
			_, err := open(t, layoutPrefix+dir, Options{}).Put(t.Context(), sample(1, "1"), nil)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, map[string]string{c.file: c.content}, snapshot(t, dir))
		})
	}
}

func TestLayoutBrokenIndexIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, layoutPrefix+dir, Options{})
	d := put(t, s, sample(1, "1"))
	for _, bad := range []string{"", "{}", "<<<<<<< ours\n", `{"schemaVersion":2,"manifests":[{"digest":"nonsense"}]}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, indexFile), []byte(bad), 0o644))
		_, err := s.Put(t.Context(), sample(2, "1"), nil)
		require.ErrorContains(t, err, "index.json: ")
		_, err = s.Find(t.Context(), sample(1, "1").Inputs.Key())
		require.ErrorContains(t, err, "index.json: ")
		require.NotErrorIs(t, err, ErrNotFound)
		require.Equal(t, bad, snapshot(t, dir)[indexFile])
		_, err = s.Get(t.Context(), d) // needs no index
		require.NoError(t, err)
	}
}

func TestLayoutStaysInItsDirectory(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	s := open(t, layoutPrefix+dir, Options{})
	d := put(t, s, sample(1, "1"))
	file := filepath.Join(dir, blobsDir, d.hex())
	require.NoError(t, os.Rename(file, outside))
	require.NoError(t, os.Symlink(outside, file))
	_, err := s.Get(t.Context(), d)
	require.ErrorContains(t, err, "escapes")
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o755))
	_, err = s.Get(t.Context(), d)
	require.ErrorContains(t, err, "is not a regular file")
}

func TestLayoutManyProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	const writers, each = 4, 6
	exits := make(chan error, writers)
	for w := range writers {
		cmd := startChild(t, "put", layoutPrefix+dir, w*each, w*each+each+2) // two results are those of the next writer
		go func() { exits <- cmd.Wait() }()
	}
	s := open(t, layoutPrefix+dir, Options{})
	for len(exits) < writers { // a reader never sees half a file
		for i := range writers * each {
			d, err := s.Find(t.Context(), sample(i, "1").Inputs.Key())
			if err != nil {
				require.ErrorIs(t, err, ErrNotFound)
				continue
			}
			_, err = s.Get(t.Context(), d)
			require.NoError(t, err)
		}
	}
	for range writers {
		require.NoError(t, <-exits)
	}
	requireValid(t, dir, writers*each+2)
}

func TestLayoutKilledWriters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for range 12 {
		cmd := startChild(t, "put", layoutPrefix+dir, 0, 40)
		// The moment of death is the point of the test, not a wait for something.
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		s := open(t, layoutPrefix+dir, Options{})
		for i := range 40 {
			d, err := s.Find(t.Context(), sample(i, "1").Inputs.Key())
			if err != nil {
				require.ErrorIs(t, err, ErrNotFound)
				continue
			}
			_, err = s.Files(t.Context(), d)
			require.NoError(t, err)
		}
	}
	require.Zero(t, child("put", []string{layoutPrefix + dir, "0", "40"}))
	requireValid(t, dir, 40)
}
