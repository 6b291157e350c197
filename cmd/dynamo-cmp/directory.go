package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// madeFile lists the files of a directory that render made. Without it, render
// leaves a directory that is not empty alone.
const madeFile = ".dynamo-cmp-rendered"

// replaceDirectory makes dir hold the files and nothing else. Whoever reads it
// meanwhile sees the old directory or the new one, also when this process is killed.
func replaceDirectory(dir string, files []file) (err error) {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	exists, err := checkDirectory(dir)
	if err != nil {
		return &codedError{exitInput, err}
	}
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("%s: making the parent: %w", dir, err)
	}
	// The new directory, and later the old one, stand beside dir: a rename does not
	// leave a file system.
	work, err := os.MkdirTemp(parent, ".dynamo-cmp-render-")
	if err != nil {
		return fmt.Errorf("%s: making the directory anew: %w", dir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	next, last := filepath.Join(work, "next"), filepath.Join(work, "last")
	if err := fill(next, files); err != nil {
		return fmt.Errorf("%s: writing: %w", dir, err)
	}
	if !exists {
		err = os.Rename(next, dir)
	} else {
		err = swap(dir, next, last)
	}
	if err != nil {
		return fmt.Errorf("%s: replacing: %w", dir, err)
	}
	return nil
}

// swap puts next in the place of dir. Where a file system cannot exchange the two,
// dir is missing for a moment; an error puts it back.
func swap(dir, next, last string) error {
	if exchange(dir, next) == nil {
		return nil
	}
	if err := os.Rename(dir, last); err != nil {
		return err
	}
	if err := os.Rename(next, dir); err != nil {
		return errors.Join(err, os.Rename(last, dir))
	}
	return nil
}

func fill(dir string, files []file) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	var names []string
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, 0o644); err != nil {
			return err
		}
		names = append(names, f.name+"\n")
	}
	return os.WriteFile(filepath.Join(dir, madeFile), []byte(strings.Join(names, "")), 0o644)
}

// checkDirectory refuses a directory that holds anything but what render put there.
func checkDirectory(dir string) (exists bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	made, err := render.ReadFile(filepath.Join(dir, madeFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	ours := strings.Split(string(made), "\n")
	for _, e := range entries {
		if e.Name() != madeFile && !slices.Contains(ours, e.Name()) {
			return false, fmt.Errorf("%s: holds %s, which render did not put there; to render into it, empty it or name another directory", dir, e.Name())
		}
	}
	return true, nil
}
