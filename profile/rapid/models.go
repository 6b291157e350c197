package rapid

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// findModel is the directory whose config.json describes the model, or "" where
// only AIConfigurator can know it. modelDir wins over the other directories.
func findModel(model, modelDir string, dirs []string) (string, error) {
	if hasConfig(modelDir) {
		return filepath.Abs(modelDir)
	}
	flat := strings.ReplaceAll(model, "/", "--")
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("looking for the config.json of %s: %w", model, err)
		}
		for _, candidate := range []string{
			filepath.Join(dir, filepath.FromSlash(model)),
			filepath.Join(dir, flat),
			snapshot(filepath.Join(dir, "models--"+flat)),
			snapshot(filepath.Join(dir, "hub", "models--"+flat)),
		} {
			if hasConfig(candidate) {
				return filepath.Abs(candidate)
			}
		}
		// A model's own directory: it says so by its name, or is the only one given.
		own := len(dirs) == 1 || slices.Contains([]string{filepath.Base(model), flat}, filepath.Base(dir))
		if own && hasConfig(dir) {
			return filepath.Abs(dir)
		}
	}
	return "", nil
}

func hasConfig(dir string) bool {
	if dir == "" {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, "config.json"))
	return err == nil && info.Mode().IsRegular()
}

// snapshot is the snapshot of a Hugging Face cache entry that refs/main names,
// else the last by name; "" where there is none.
func snapshot(entry string) string {
	if ref, err := os.ReadFile(filepath.Join(entry, "refs", "main")); err == nil {
		if dir := filepath.Join(entry, "snapshots", strings.TrimSpace(string(ref))); hasConfig(dir) {
			return dir
		}
	}
	found, _ := filepath.Glob(filepath.Join(entry, "snapshots", "*", "config.json")) // the pattern is well formed
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(slices.Max(found))
}
