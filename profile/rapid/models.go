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
// scratch is where a directory may be made for a file that stands alone.
func findModel(model, modelDir string, dirs []string, scratch func() (string, error)) (string, error) {
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
		if lone := filepath.Join(dir, flat); hasFile(lone + "_config.json") {
			return unpack(lone, scratch)
		}
		// A model's own directory: it says so by its name, or is the only one given.
		own := len(dirs) == 1 || slices.Contains([]string{filepath.Base(model), flat}, filepath.Base(dir))
		if own && hasConfig(dir) {
			return filepath.Abs(dir)
		}
	}
	return "", nil
}

// unpack copies a model's files as AIConfigurator names them, ORG--NAME_config.json
// and ORG--NAME_hf_quant_config.json, into a directory as a model has them.
func unpack(lone string, scratch func() (string, error)) (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", fmt.Errorf("making a model directory: %w", err)
	}
	for _, name := range []string{"config.json", "hf_quant_config.json"} {
		if source := lone + "_" + name; hasFile(source) {
			data, err := readFile(os.DirFS(filepath.Dir(source)), filepath.Base(source))
			if err != nil {
				return "", fmt.Errorf("reading a model configuration: %w", err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return "", fmt.Errorf("copying a model configuration: %w", err)
			}
		}
	}
	return dir, nil
}

func hasConfig(dir string) bool {
	return dir != "" && hasFile(filepath.Join(dir, "config.json"))
}

func hasFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// snapshot is the snapshot of a Hugging Face cache entry that refs/main names,
// else the last by name; "" where there is none.
func snapshot(entry string) string {
	if ref, err := readFile(os.DirFS(entry), "refs/main"); err == nil {
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
