// Package docs holds the site in Markdown and the tests that keep it true: every
// command in it runs, every flag in it exists, every message in it is one of ours,
// every version in it is the one that is pinned, and every link leads somewhere.
package docs

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the repository's.
const root = ".."

var update = flag.Bool("update", false, "rewrite reference-cli.md")

// bin is where both commands are, built as make build does.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "docs")
		if err == nil {
			defer os.RemoveAll(dir)
			bin = dir
			build := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "./cmd/...")
			build.Dir, build.Stderr = root, os.Stderr
			err = build.Run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "building both commands:", err)
			return 1
		}
		return m.Run()
	}())
}

// pages are the files of the site, by path from the root of the repository: who adds
// one adds it to the tests.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "CONTRIBUTING.md"}
	for _, dir := range []string{"docs", "examples"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".md" {
				page, _ := filepath.Rel(root, path)
				found = append(found, page)
			}
			return err
		}))
	}
	slices.Sort(found)
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(data)
}

// A block is what stands between fences in a page.
type block struct {
	at       string   // page:line
	language string   // what follows the opening fence
	text     string   // without the indent of the fence
	run      []string // of each <!-- run: ... --> on the lines above it
}

// isCommands is whether a block is what a reader types.
func (b block) isCommands() bool {
	return slices.Contains([]string{"sh", "bash", "shell", "console"}, b.language)
}

// blocks takes a page apart.
func blocks(t *testing.T, page string) []block {
	t.Helper()
	var found []block
	var run []string
	var open *block
	var indent string
	for i, line := range strings.Split(read(t, page), "\n") {
		text := strings.TrimLeft(line, " ")
		switch {
		case open != nil && text == "```":
			found, open, run = append(found, *open), nil, nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(text, "```"):
			indent = line[:len(line)-len(text)]
			open = &block{at: fmt.Sprintf("%s:%d", page, i+2), language: text[3:], run: run}
		case strings.HasPrefix(text, "<!-- run: "):
			run = append(run, strings.TrimSuffix(strings.TrimPrefix(text, "<!-- run: "), " -->"))
		case text != "":
			require.Empty(t, run, "%s:%d: a run comment stands above no block", page, i+1)
		}
	}
	require.Nil(t, open, "%s: a block has no end", page)
	return found
}
