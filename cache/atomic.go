package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// tempPrefix begins the name of a file that is being written. A writer that was
// killed leaves one behind; nobody reads it.
const tempPrefix = ".dynamo-cmp-tmp-"

// writeFile replaces a file whole: readers see the old bytes or the new ones, also
// after a power failure.
func writeFile(root *os.Root, name string, data []byte) (err error) {
	temp := path.Join(path.Dir(name), tempPrefix+rand.Text())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(temp))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// syncDir makes the renames in a directory outlive a power failure.
func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// readFile returns at most limit bytes of a file and one more, so that the caller
// sees what is too large. It does not leave root, and reads regular files only.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Stat(name) // before opening: the open of a named pipe blocks
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is not a regular file")}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, min(info.Size(), limit), limit)
}

// readAll reads at most limit bytes and one more; size is what is expected.
func readAll(r io.Reader, size, limit int64) ([]byte, error) {
	data := make([]byte, 0, size+1)
	r = io.LimitReader(r, limit+1)
	for {
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// sweep removes what killed writers left in a directory and is older than age.
func sweep(root *os.Root, dir string, age time.Duration) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) {
			continue
		}
		name = path.Join(dir, name)
		if info, err := root.Lstat(name); err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// lockDir takes the advisory lock of a directory, which other writers wait for.
// The lock is on the directory itself: it needs no further file in Git or in the
// layout, and unlike the files in it the directory is never replaced. It holds
// between processes of one machine and ends with the process; network file systems
// that lock files only refuse it.
func lockDir(ctx context.Context, dir string) (unlock func() error, err error) {
	const retry = 10 * time.Millisecond
	l := flock.New(dir, flock.SetFlag(os.O_RDONLY))
	if _, err := l.TryLockContext(ctx, retry); err != nil {
		return nil, fmt.Errorf("locking directory %s: %w", dir, err)
	}
	return l.Unlock, nil
}
