package rapid

import (
	"bytes"
	"strings"
	"sync"
)

const (
	tailBytes = 16 << 10
	tailWidth = 300 // bytes of one line
)

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p[max(0, len(p)-tailBytes):]...)
	if extra := len(t.data) - tailBytes; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(p), nil
}

// String is the last lines, ready to be put behind an error: empty, or each on
// a tabbed line of its own.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.data) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, "\n\t"+strings.ToValidUTF8(string(cut(line, tailWidth)), "?"))
		}
	}
	return strings.Join(lines[max(0, len(lines)-stderrLines):], "")
}
