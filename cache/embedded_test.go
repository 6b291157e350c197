package cache

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEmbedded(t *testing.T) {
	root := t.TempDir()
	outside := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "team", embeddedDir), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "team", "app"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "other", ".dynamo-cmp"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(outside, "blobs"), 0o755))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "other", embeddedDir)))

	require.Equal(t, "oci-layout:"+filepath.Join(root, "team", embeddedDir), Embedded(root, "team/app"), "the nearest above")
	require.Equal(t, "oci-layout:"+filepath.Join(root, embeddedDir), Embedded(root, "."), "to be made at the root")
	require.Equal(t, "oci-layout:"+filepath.Join(root, embeddedDir), Embedded(root, "other"), "a link out of the repository is not followed")
}
