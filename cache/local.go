package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// localDir is a directory with one file for each blob that was read; nil keeps
// nothing. Many processes share it without a lock: a file appears whole, and what it
// must hold follows from its name.
type localDir struct {
	dir   string
	swept sync.Once // of what killed writers left
}

func newLocalDir(dir string) *localDir {
	if dir == "" {
		return nil
	}
	return &localDir{dir: dir}
}

// strayAge is after how long a temporary file has no writer any more.
const strayAge = time.Hour

func (l *localDir) file(d Digest) string {
	return "sha256-" + d.hex()
}

// read returns the verified local copy of a blob, nil when there is none that can
// be read. A copy with other bytes is an error and never replaced unseen: somebody
// changed it, or the disk did.
func (l *localDir) read(d Digest, limit int64) ([]byte, error) {
	if l == nil {
		return nil, nil
	}
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return nil, nil
	}
	defer root.Close()
	data, err := readFile(root, l.file(d), limit)
	if err != nil {
		return nil, nil
	}
	if err := d.verify(data); err != nil {
		return nil, fmt.Errorf("local copy: %w; to fetch it again, delete %s", err, filepath.Join(l.dir, l.file(d)))
	}
	return data, nil
}

// write keeps a local copy. A directory that cannot be written costs the next
// reader a fetch and nothing else.
func (l *localDir) write(d Digest, data []byte) {
	l.keep(l.file(d), data)
}

func (l *localDir) keep(name string, data []byte) {
	if l == nil || os.MkdirAll(l.dir, 0o755) != nil {
		return
	}
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return
	}
	defer root.Close()
	if writeFile(root, name, data) == nil {
		l.swept.Do(func() { _ = sweep(root, ".", strayAge) })
	}
}

// referrersFile lists the manifests that referred to a result when its attachments
// were read last. It is no proof of anything: they are signed.
func (l *localDir) referrersFile(d Digest) string {
	return "referrers-sha256-" + d.hex()
}

// referrers are the digests of the manifests of which there should be local copies.
func (l *localDir) referrers(d Digest) []Digest {
	if _, err := ParseDigest(string(d)); l == nil || err != nil {
		return nil
	}
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	data, err := readFile(root, l.referrersFile(d), maxManifest)
	if err != nil {
		return nil
	}
	var found []Digest
	for line := range strings.Lines(string(data)) {
		if at, err := ParseDigest(strings.TrimSpace(line)); err == nil && len(found) < maxAttachments {
			found = append(found, at)
		}
	}
	return found
}

func (l *localDir) writeReferrers(d Digest, manifests []Digest) {
	var b strings.Builder
	for _, m := range manifests {
		b.WriteString(string(m) + "\n")
	}
	l.keep(l.referrersFile(d), []byte(b.String()))
}
