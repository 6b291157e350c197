package rapid

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindModel(t *testing.T) {
	const model = "acme/Rocket-7B"
	for _, c := range []struct {
		name, file, want string
	}{
		{"a tree by organisation", "acme/Rocket-7B/config.json", "acme/Rocket-7B"},
		{"a flat name", "acme--Rocket-7B/config.json", "acme--Rocket-7B"},
		{"a Hugging Face cache", "models--acme--Rocket-7B/snapshots/abc/config.json", "models--acme--Rocket-7B/snapshots/abc"},
		{"a Hugging Face home", "hub/models--acme--Rocket-7B/snapshots/abc/config.json", "hub/models--acme--Rocket-7B/snapshots/abc"},
		{"its own directory", "config.json", "."},
		{"another model", "acme/Rocket-8B/config.json", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.file)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
			got, err := findModel(model, "", []string{dir}, nil)
			require.NoError(t, err)
			want := ""
			if c.want != "" {
				want = filepath.Join(dir, c.want)
			}
			require.Equal(t, want, got)
			if want != "" { // the model cache wins
				got, err = findModel(model, want, nil, nil)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		})
	}
	_, err := findModel(model, "", []string{"/nonexistent"}, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFindModelLoneFiles(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	for _, name := range []string{"config.json", "hf_quant_config.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "acme--Rocket-7B_"+name), []byte(name), 0o600))
	}
	got, err := findModel("acme/Rocket-7B", "", []string{dir}, func() (string, error) { return scratch, nil })
	require.NoError(t, err)
	require.Equal(t, scratch, got)
	for _, name := range []string{"config.json", "hf_quant_config.json"} {
		data, err := os.ReadFile(filepath.Join(scratch, name))
		require.NoError(t, err)
		require.Equal(t, name, string(data))
	}
}
