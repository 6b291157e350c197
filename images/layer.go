package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0)

// compile builds one of our commands for a platform such as linux/amd64. What would
// make other machine code of the same sources is set here, whatever the environment
// or the file of go env -w says.
func compile(ctx context.Context, command, platform, into string) (string, error) {
	goos, goarch := platformOf(platform)
	binary := filepath.Join(into, command+"-"+goarch)
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w -buildid=", "-o", binary,
		"github.com/dynamo-cmp/dynamo-cmp/cmd/"+command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=-trimpath -buildvcs=false", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building for %s: %w", platform, err)
	}
	return binary, nil
}

// layerOf is a layer that has the files below src, which may be one file, at the
// absolute path dst. Owner, time and order do not depend on this machine.
func layerOf(src, dst string) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeTar(w, src, dst)) }()
		return r, nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed),
		tarball.WithCompressedCaching) // else every use of the layer compresses it anew
}

func writeTar(w io.Writer, src, dst string) error {
	tw := tar.NewWriter(w)
	for dir, above := "", strings.Split(strings.Trim(path.Dir(dst), "/"), "/"); len(above) > 0 && above[0] != ""; above = above[1:] {
		dir = path.Join(dir, above[0])
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch}); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error { // in the order of names
		if err != nil || d.Name() == "__pycache__" {
			return skipped(d, err)
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		return writeEntry(tw, p, path.Join(strings.TrimPrefix(dst, "/"), filepath.ToSlash(rel)))
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

func skipped(d fs.DirEntry, err error) error {
	if err == nil && d.IsDir() {
		return fs.SkipDir
	}
	return err
}

func writeEntry(tw *tar.Writer, file, name string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.ModTime, h.Mode = name, epoch, 0o644
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if info.IsDir() || info.Mode()&0o111 != 0 {
		h.Mode = 0o755
	}
	if err := tw.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(tw, f)
	return err
}

// write puts an image for each platform into a new layout, and says its digest.
func write(dir string, images map[string]v1.Image, order []string) error {
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range order {
		goos, goarch := platformOf(platform)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        images[platform],
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: goos, Architecture: goarch}},
		})
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if _, err := layout.Write(dir, index); err != nil {
		return fmt.Errorf("writing %s: %w", dir, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s\t%s\n", dir, digest)
	return nil
}
