package docs

import (
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	entry       = regexp.MustCompile("(?m)^### `(.+)`$")
	placeholder = regexp.MustCompile(`<[a-z ]+>`)
	verb        = regexp.MustCompile(`%(\[\d\])?[sdqvw]`)
)

// Each entry is headed by a message of ours: what stands between its placeholders is,
// piece by piece, in a string of the code or in the expected output of a script.
func TestTroubleshootingKnowsMessages(t *testing.T) {
	said := messages(t)
	entries := entry.FindAllStringSubmatch(read(t, "docs/troubleshooting.md"), -1)
	require.Greater(t, len(entries), 24)
	for _, e := range entries {
		longest := 0
		for _, piece := range placeholder.Split(e[1], -1) {
			piece = strings.Trim(piece, " :;,\"()")
			if piece == "" || piece == "request" {
				continue
			}
			longest = max(longest, len(piece))
			require.True(t, strings.Contains(said, piece), "nothing says %q, of %q", piece, e[1])
		}
		require.Greater(t, longest, 9, "%q has no text of its own", e[1])
	}
}

// messages are the string literals of the code, with their verbs taken out, and the
// files of the scripts.
func messages(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "docs" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir
		case filepath.Ext(path) == ".txtar":
			data, err := os.ReadFile(path)
			b.Write(data)
			return err
		case filepath.Ext(path) == ".go" && (!strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "../e2e/")):
			return literals(&b, path)
		}
		return nil
	}))
	return b.String()
}

// literals writes the strings of a file, each on a line.
func literals(b *strings.Builder, path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	if _, err := parser.ParseFile(files, path, source, 0); err != nil {
		return err
	}
	var s scanner.Scanner
	s.Init(files.AddFile(path, -1, len(source)), source, nil, 0)
	for {
		_, kind, text := s.Scan()
		if kind == token.EOF {
			return nil
		}
		if kind == token.STRING {
			text, err := strconv.Unquote(text)
			if err != nil {
				return err
			}
			b.WriteString(verb.ReplaceAllString(text, "") + "\n")
		}
	}
}
