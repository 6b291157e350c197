package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// childEnv makes the test binary a writer of its own process: see child_test.go.
const childEnv = "DYNAMO_CMP_CACHE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		runtime.LockOSThread() // one thread makes all of its system calls
		os.Exit(child(os.Getenv(childEnv), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// sample is a result for the inputs of that ISL; tool tells results of one key apart.
func sample(isl int, tool string) *profile.Result {
	return &profile.Result{
		Schema: profile.ResultSchema,
		Inputs: profile.Inputs{
			Schema: profile.InputsSchema, Model: "org/model", Backend: profile.BackendVLLM, Strategy: profile.StrategyRapid,
			Hardware: profile.InputHardware{System: "h200_sxm", TotalGPUs: 8, GPUsPerNode: 8},
			Workload: profile.InputWorkload{ISL: isl, OSL: 500}, Picking: profile.PickDefault,
		},
		Confidence: profile.Simulated,
		Pick: profile.Pick{
			Mode: profile.Aggregated, Backend: profile.BackendVLLM, System: "h200_sxm", TotalGPUs: 2,
			Roles: []profile.Role{{Name: profile.RoleWorker, Replicas: 2, GPUsPerEngine: 1,
				Parallelism: profile.Parallelism{TP: 1, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}}},
		},
		Provenance: profile.Provenance{Tool: "aiconfigurator", ToolVersion: tool},
	}
}

func sampleFiles() []profile.File {
	return []profile.File{
		{Name: "pareto.csv", MediaType: "text/csv", Data: []byte("tp,ttft\n1,20\n")},
		{Name: "best_agg.csv", MediaType: "text/csv", Data: []byte("tp\n1\n")},
		{Name: "empty.csv", MediaType: "text/csv", Data: []byte{}},
		{Name: "same.csv", MediaType: "text/csv", Data: []byte("tp\n1\n")},
	}
}

func open(t testing.TB, ref string, o Options) *Store {
	t.Helper()
	s, err := Open(ref, o)
	require.NoError(t, err)
	return s
}

func put(t testing.TB, s *Store, res *profile.Result, files ...profile.File) Digest {
	t.Helper()
	d, err := s.Put(t.Context(), res, files)
	require.NoError(t, err)
	return d
}

func serve(t testing.TB) *httptest.Server {
	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return server
}

func repository(server *httptest.Server) string {
	return strings.TrimPrefix(server.URL, "http://") + "/team/profiles"
}

// TestStore holds what is true of every store, over a layout and over the wire.
func TestStore(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	stores := map[string]func(*testing.T) string{
		"layout":          func(t *testing.T) string { return layoutPrefix + filepath.Join(t.TempDir(), "a", "store") },
		"registry":        func(t *testing.T) string { return repository(serve(t)) },
		"registry as oci": func(t *testing.T) string { return "oci://" + repository(serve(t)) },
	}
	cases := map[string]func(*testing.T, string){
		"a result comes back as it was put":            testRoundTrip,
		"the order of files changes nothing":           testOrder,
		"a tag never moves":                            testTag,
		"an imported result has no tag":                testImported,
		"what is not there is not found":               testNotFound,
		"a cancelled context ends every call":          testCancelled,
		"a store may go when local copies are there":   testOffline,
		"an unwritable local directory fails no read":  testUnwritableLocal,
		"a changed local copy is an error":             testChangedLocal,
		"what cannot be read back is not put":          testRefused,
		"many goroutines put and get the same results": testConcurrent,
	}
	for store, ref := range stores {
		for name, run := range cases {
			t.Run(store+"/"+name, func(t *testing.T) { run(t, ref(t)) })
		}
	}
}

func testRoundTrip(t *testing.T, ref string) {
	s := open(t, ref, Options{})
	res := sample(1000, "1")
	d := put(t, s, res, sampleFiles()...)
	got, err := s.Get(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, res, got)
	files, err := s.Files(t.Context(), d)
	require.NoError(t, err)
	want := sampleFiles()
	require.Equal(t, []profile.File{want[1], want[2], want[0], want[3]}, files)
	found, err := open(t, ref, Options{}).Find(t.Context(), res.Inputs.Key())
	require.NoError(t, err)
	require.Equal(t, d, found)
}

func testOrder(t *testing.T, ref string) {
	s := open(t, ref, Options{})
	files := sampleFiles()
	d := put(t, s, sample(1000, "1"), files...)
	files[0], files[3] = files[3], files[0]
	require.Equal(t, d, put(t, s, sample(1000, "1"), files...))
	require.NotEqual(t, d, put(t, s, sample(1000, "1"), files[1:]...))
}

func testTag(t *testing.T, ref string) {
	s := open(t, ref, Options{})
	first, second := sample(1000, "1"), sample(1000, "2")
	d1 := put(t, s, first)
	d2 := put(t, s, second)
	require.NotEqual(t, d1, d2)
	require.Equal(t, d2, put(t, s, second))
	found, err := s.Find(t.Context(), first.Inputs.Key())
	require.NoError(t, err)
	require.Equal(t, d1, found)
	got, err := s.Get(t.Context(), d2)
	require.NoError(t, err)
	require.Equal(t, second, got)
}

func testImported(t *testing.T, ref string) {
	s := open(t, ref, Options{})
	imported := sample(1000, "1")
	imported.Confidence, imported.Provenance.Source = profile.Imported, profile.SourceDGDR
	d := put(t, s, imported)
	_, err := s.Find(t.Context(), imported.Inputs.Key())
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, []Digest{d}, held(t, s))
	own := put(t, s, sample(1000, "1"))
	found, err := s.Find(t.Context(), imported.Inputs.Key())
	require.NoError(t, err)
	require.Equal(t, own, found)
}

func testNotFound(t *testing.T, ref string) {
	s := open(t, ref, Options{})
	check := func() {
		_, err := s.Get(t.Context(), digestOf(nil))
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.Files(t.Context(), digestOf(nil))
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.Find(t.Context(), sample(1, "1").Inputs.Key())
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorContains(t, err, s.String())
	}
	check()
	put(t, s, sample(2, "1"))
	check()
	_, err := s.Get(t.Context(), "sha256:../../x")
	require.ErrorContains(t, err, `"sha256:../../x" is not sha256: and 64 lower-case hex digits`)
	_, err = s.Find(t.Context(), "latest")
	require.ErrorContains(t, err, `"latest" is not sha256:`)
}

func testCancelled(t *testing.T, ref string) {
	s := open(t, ref, Options{})
	d := put(t, s, sample(1, "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, sample(2, "1"), nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Get(ctx, d)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Find(ctx, sample(1, "1").Inputs.Key())
	require.ErrorIs(t, err, context.Canceled)
}

func testOffline(t *testing.T, ref string) {
	local := filepath.Join(t.TempDir(), "new", "local")
	res := sample(1, "1")
	d := put(t, open(t, ref, Options{}), res, sampleFiles()...)
	_, err := open(t, ref, Options{LocalDir: local}).Get(t.Context(), d)
	require.NoError(t, err)
	require.Len(t, readDir(t, local), 2) // the manifest and the result, no raw files

	for _, gone := range []string{layoutPrefix + filepath.Join(t.TempDir(), "gone"), "localhost:1/gone/away"} {
		got, err := open(t, gone, Options{LocalDir: local}).Get(t.Context(), d)
		require.NoError(t, err)
		require.Equal(t, res, got)
	}
}

func testUnwritableLocal(t *testing.T, ref string) {
	d := put(t, open(t, ref, Options{}), sample(1, "1"))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/no/such"} {
		_, err := open(t, ref, Options{LocalDir: dir}).Get(t.Context(), d)
		require.NoError(t, err, dir)
	}
}

func testChangedLocal(t *testing.T, ref string) {
	local := t.TempDir()
	s := open(t, ref, Options{LocalDir: local})
	d := put(t, s, sample(1, "1"))
	_, err := s.Get(t.Context(), d)
	require.NoError(t, err)
	for _, name := range readDir(t, local) {
		file := filepath.Join(local, name)
		good, err := os.ReadFile(file)
		require.NoError(t, err)
		changed := append([]byte{}, good...)
		changed[len(changed)/2] ^= 1
		for _, bad := range [][]byte{changed, good[:10], append(good[:len(good):len(good)], ' '), {}} {
			require.NoError(t, os.WriteFile(file, bad, 0o644))
			_, err = s.Get(t.Context(), d)
			require.ErrorIs(t, err, ErrTampered)
			require.EqualError(t, err, fmt.Sprintf("fetching result %s from %s: local copy: blob %s: %s; to fetch it again, delete %s",
				d, s, strings.Replace(name, "-", ":", 1), ErrTampered, file))
		}
		require.NoError(t, os.Remove(file))
		_, err = s.Get(t.Context(), d)
		require.NoError(t, err)
	}
}

func testRefused(t *testing.T, ref string) {
	s := open(t, ref, Options{})
	file := func(name, mediaType string) profile.File { return profile.File{Name: name, MediaType: mediaType} }
	for want, files := range map[string][]profile.File{
		`file "a/b": is not a plain file name`:                                           {file("a/b", "text/csv")},
		`file "..": is not a plain file name`:                                            {file("..", "text/csv")},
		`file "": is not a plain file name`:                                              {file("", "text/csv")},
		`file "a": "csv" is not a media type`:                                            {file("a", "csv")},
		`file "a": is given twice`:                                                       {file("a", "text/csv"), file("a", "text/csv")},
		`file "result.json": the name and type of the profiling result itself are taken`: {file("result.json", "text/csv")},
		`file "big": is 67108865 bytes, more than the 67108864 allowed`:                  {{Name: "big", MediaType: "text/csv", Data: make([]byte, maxFile+1)}},
	} {
		_, err := s.Put(t.Context(), sample(1, "1"), files)
		require.EqualError(t, err, "storing result in "+s.String()+": "+want)
	}
	bad := sample(1, "1")
	bad.Pick.TotalGPUs = 7
	_, err := s.Put(t.Context(), bad, nil)
	require.ErrorContains(t, err, "roles take 2 GPUs, not 7")
	_, err = s.Find(t.Context(), bad.Inputs.Key())
	require.ErrorIs(t, err, ErrNotFound)
}

func testConcurrent(t *testing.T, ref string) {
	s := open(t, ref, Options{LocalDir: t.TempDir()})
	errs := make(chan error)
	const workers = 8
	for i := range workers {
		go func() {
			d, err := s.Put(t.Context(), sample(i%3, "1"), sampleFiles())
			if err == nil {
				_, err = s.Get(t.Context(), d)
			}
			errs <- err
		}()
	}
	var all []error
	for range workers {
		all = append(all, <-errs)
	}
	require.NoError(t, errors.Join(all...))
}

func readDir(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
