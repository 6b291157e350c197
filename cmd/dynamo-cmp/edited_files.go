package main

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// editedFiles are the files of a worktree, some with other content.
type editedFiles struct {
	render.Files
	data map[string][]byte
}

// Open implements fs.FS.
func (e *editedFiles) Open(name string) (fs.File, error) {
	file, err := e.Files.Open(name)
	data, ok := e.data[name]
	if err != nil || !ok {
		return file, err
	}
	info, err := e.Stat(name)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &editedFile{file, bytes.NewReader(data), info}, nil
}

// Stat implements fs.StatFS.
func (e *editedFiles) Stat(name string) (fs.FileInfo, error) {
	info, err := e.Files.Stat(name)
	if data, ok := e.data[name]; ok && err == nil {
		return editedInfo{info, int64(len(data))}, nil
	}
	return info, err
}

type editedFile struct {
	fs.File
	content *bytes.Reader
	info    fs.FileInfo
}

func (f *editedFile) Read(p []byte) (int, error) { return f.content.Read(p) }
func (f *editedFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type editedInfo struct {
	fs.FileInfo
	size int64
}

func (i editedInfo) Size() int64 { return i.size }
