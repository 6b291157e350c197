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

// defaultBase is the runner's base, the same as in the Dockerfile. Its slim variant
// has no git, by which locks are pushed.
const defaultBase = "python:3.12"

// basePython is the base's own interpreter.
const basePython = "/usr/local/bin/python3"

// environment is one of Python in the image. There are two: AIPerf wants pandas 2,
// AIConfigurator is pinned with pandas 3.
type environment struct {
	name         string // of the directory in /opt, and of the module
	requirements string
	packages     string // a directory with them; empty to install
	commands     bool   // the module is a command
}

func (e environment) root() string { return "/opt/" + e.name }

// runner builds the image of dynamo-profile-runner: AIConfigurator, AIPerf and the
// binary on an image with Python.
type runner struct {
	base           string // REGISTRY/REPO:TAG or oci-layout:PATH
	python         string // version of the base's, such as 3.12
	aiconfigurator string // a directory with its packages; empty to install
	aiperf         string // the same
}

func (r runner) environments() []environment {
	return []environment{
		{"aiconfigurator", "profile/rapid/requirements.txt", r.aiconfigurator, false},
		{"aiperf", "profile/thorough/requirements.txt", r.aiperf, true},
	}
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
	// What changes seldom is below what changes often.
	var layers []v1.Layer
	var requirements []string
	search := ""
	for _, e := range r.environments() {
		both, err := r.layers(ctx, e, filepath.Join(scratch, e.name))
		if err != nil {
			return err
		}
		layers = append(layers, both...)
		search += e.root() + "/bin:"
		requirements = append(requirements, e.requirements)
	}
	binary, err := compile(ctx, "dynamo-profile-runner", platform, scratch)
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
	// AIPerf takes half as long again to start where no bytecode can be kept.
	config.Env = append(slices.DeleteFunc(config.Env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }),
		"PATH="+search+"/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "PYTHONPYCACHEPREFIX=/tmp/pycache")
	config.User = "999:999"
	img, err := image(base, platform, config, append(layers, command)...)
	if err != nil {
		return err
	}
	if err := write(dir, map[string]v1.Image{platform: img}, []string{platform}); err != nil {
		return err
	}
	return writeSBOM(dir, binary, requirements...)
}

// layers are the packages of an environment, and what makes them one of the base's
// Python (the file pyvenv.cfg: Python's documentation, library/venv).
func (r runner) layers(ctx context.Context, e environment, scratch string) ([]v1.Layer, error) {
	if e.packages == "" {
		e.packages = filepath.Join(scratch, "packages")
		if err := r.install(ctx, e); err != nil {
			return nil, err
		}
	}
	packages, err := layerOf(e.packages, e.root()+"/lib/python"+r.python+"/site-packages")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(scratch, "environment")
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return nil, err
	}
	settings := "home = " + path.Dir(basePython) + "\ninclude-system-site-packages = false\nversion = " + r.python + "\n"
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "pyvenv.cfg"), []byte(settings), 0o644),
		os.Symlink(basePython, filepath.Join(dir, "bin/python3")),
	)
	if e.commands && err == nil {
		script := "#!/bin/sh\nexec \"${0%/*}/python3\" -m " + e.name + " \"$@\"\n"
		err = os.WriteFile(filepath.Join(dir, "bin", e.name), []byte(script), 0o755)
	}
	if err != nil {
		return nil, err
	}
	venv, err := layerOf(dir, e.root())
	return []v1.Layer{packages, venv}, err
}

// install puts an environment's packages, by their pins and hashes, into a directory
// for the base's Python, whatever Python does it.
func (r runner) install(ctx context.Context, e environment) error {
	fmt.Fprintf(os.Stderr, "installing %s (about a minute)\n", e.name)
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
		"--target", e.packages, "--python-version", r.python, "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64", "--platform", "any",
		"--only-binary=:all:", "--require-hashes", "--requirement", e.requirements)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("installing %s for Python %s: %w", e.name, r.python, err)
	}
	return dropScripts(e.packages)
}

// dropScripts takes out the commands of packages, and their lines in each RECORD (PyPA:
// recording installed packages): they name the Python that installed them, which the
// image has not.
func dropScripts(packages string) error {
	if err := os.RemoveAll(filepath.Join(packages, "bin")); err != nil {
		return err
	}
	records, err := filepath.Glob(filepath.Join(packages, "*.dist-info/RECORD"))
	for _, file := range records {
		var data []byte
		if data, err = os.ReadFile(file); err != nil {
			return err
		}
		var kept strings.Builder
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "../../bin/") {
				kept.WriteString(line)
			}
		}
		if err = os.WriteFile(file, []byte(kept.String()), 0o644); err != nil {
			return err
		}
	}
	return err
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
