package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// defaultBase is the runner's base, the same as in the Dockerfile.
const defaultBase = "python:3.12-slim"

// environment is the Python environment with AIConfigurator in the image, and
// basePython is the base's own interpreter.
const (
	environment = "/opt/aiconfigurator"
	basePython  = "/usr/local/bin/python3"
)

// runner builds the image of dynamo-profile-runner: AIConfigurator and the binary on
// an image with Python.
type runner struct {
	base     string // REGISTRY/REPO:TAG or oci-layout:PATH
	python   string // version of the base's, such as 3.12
	packages string // installed for it; empty to install
}

func (r runner) build(ctx context.Context, dir string) error {
	const platform = "linux/amd64"
	base, err := r.pull(ctx)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "images")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	packages := r.packages
	if packages == "" {
		packages = filepath.Join(scratch, "packages")
		if err := r.install(ctx, packages); err != nil {
			return err
		}
	}
	binary, err := compile(ctx, "dynamo-profile-runner", platform, scratch)
	if err != nil {
		return err
	}
	// What changes seldom is below what changes often.
	tool, err := layerOf(packages, environment+"/lib/python"+r.python+"/site-packages")
	if err != nil {
		return err
	}
	venv, err := r.environment(filepath.Join(scratch, "environment"))
	if err != nil {
		return err
	}
	command, err := layerOf(binary, "/usr/local/bin/dynamo-profile-runner")
	if err != nil {
		return err
	}
	file, err := base.ConfigFile()
	if err != nil {
		return err
	}
	config := *file.Config.DeepCopy()
	config.Entrypoint, config.Cmd = []string{"/usr/local/bin/dynamo-profile-runner"}, nil
	config.Env = append(slices.DeleteFunc(config.Env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }),
		"PATH="+environment+"/bin:/usr/local/bin:/usr/bin:/bin", "HOME=/tmp")
	config.User = "999:999"
	img, err := image(base, platform, config, tool, venv, command)
	if err != nil {
		return err
	}
	return write(dir, map[string]v1.Image{platform: img}, []string{platform})
}

// environment is the layer that makes the packages an environment of the base's
// Python (the file pyvenv.cfg: Python's documentation, library/venv).
func (r runner) environment(dir string) (v1.Layer, error) {
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return nil, err
	}
	settings := "home = " + path.Dir(basePython) + "\ninclude-system-site-packages = false\nversion = " + r.python + "\n"
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "pyvenv.cfg"), []byte(settings), 0o644),
		os.Symlink(basePython, filepath.Join(dir, "bin/python3")),
	)
	if err != nil {
		return nil, err
	}
	return layerOf(dir, environment)
}

// install puts AIConfigurator, by its pins and hashes, into a directory for the
// base's Python, whatever Python does it.
func (r runner) install(ctx context.Context, dir string) error {
	fmt.Fprintln(os.Stderr, "installing AIConfigurator (about a minute)")
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
		"--target", dir, "--python-version", r.python, "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64", "--platform", "any",
		"--only-binary=:all:", "--require-hashes", "--requirement", "profile/rapid/requirements.txt")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("installing AIConfigurator for Python %s: %w", r.python, err)
	}
	return nil
}

func (r runner) pull(ctx context.Context) (v1.Image, error) {
	platform := v1.Platform{OS: "linux", Architecture: "amd64"}
	dir, local := strings.CutPrefix(r.base, "oci-layout:")
	if !local {
		ref, err := name.ParseReference(r.base)
		if err != nil {
			return nil, fmt.Errorf("--base: %w", err)
		}
		img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform), remote.WithAuthFromKeychain(authn.DefaultKeychain))
		if err != nil {
			return nil, fmt.Errorf("--base: %w; to take one from a directory: --base oci-layout:PATH", err)
		}
		return img, nil
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("--base: reading %s: %w", dir, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("--base: reading %s: %w", dir, err)
	}
	for _, d := range manifest.Manifests {
		if d.MediaType.IsImage() && (d.Platform == nil || d.Platform.Satisfies(platform)) {
			return index.Image(d.Digest)
		}
	}
	return nil, fmt.Errorf("--base: %s holds no image for linux/amd64", dir)
}

func platformOf(platform string) (goos, goarch string) {
	goos, goarch, _ = strings.Cut(platform, "/")
	return goos, goarch
}
