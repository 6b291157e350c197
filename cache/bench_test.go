package cache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkGetLocal is a read whose bytes are all in the local directory.
func BenchmarkGetLocal(b *testing.B) {
	s := open(b, layoutPrefix+b.TempDir(), Options{LocalDir: b.TempDir()})
	d := put(b, s, sample(1, "1"), sampleFiles()...)
	for b.Loop() {
		_, err := s.Get(b.Context(), d)
		require.NoError(b, err)
	}
}

// BenchmarkPutLayout is the write of a new result into a growing layout.
func BenchmarkPutLayout(b *testing.B) {
	s := open(b, layoutPrefix+b.TempDir(), Options{})
	for i := 0; b.Loop(); i++ {
		put(b, s, sample(i, "1"), sampleFiles()...)
	}
}
