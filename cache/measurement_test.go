package cache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A measurement comes back as it was stored first, is no result, and leaves the
// tags of keys alone.
func TestMeasurement(t *testing.T) {
	for name, ref := range map[string]string{"layout": layoutPrefix + t.TempDir(), "registry": repository(serve(t))} {
		t.Run(name, func(t *testing.T) {
			s := open(t, ref, Options{})
			id := digestOf([]byte("candidate"))
			_, _, err := s.Measurement(t.Context(), id)
			require.ErrorIs(t, err, ErrNotFound)
			require.NoError(t, s.PutMeasurement(t.Context(), id, []byte(`{"a":1}`), sampleFiles()[:1]))
			require.NoError(t, s.PutMeasurement(t.Context(), id, []byte(`{"a":2}`), nil))

			document, files, err := s.Measurement(t.Context(), id)
			require.NoError(t, err)
			require.JSONEq(t, `{"a":1}`, string(document))
			require.Equal(t, sampleFiles()[:1], files)

			d, err := s.backend.find(t.Context(), measurementTag(id))
			require.NoError(t, err)
			_, err = s.Get(t.Context(), d)
			require.ErrorContains(t, err, "is no profiling result")
			require.Error(t, s.PutMeasurement(t.Context(), "sha256:short", []byte(`{}`), nil))
		})
	}
}
