package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBlocks runs the commands of each page as a reader would type them: in order, in
// one shell that stops at the first failure. How a block is run, and which comments
// say so, is in CONTRIBUTING.md.
func TestBlocks(t *testing.T) {
	for _, page := range pages(t) {
		all := blocks(t, page)
		if !slices.ContainsFunc(all, block.isCommands) {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			s := newScript(t)
			for _, b := range all {
				if s.add(t, b); s.ended {
					break
				}
			}
			s.execute(t, newDesk(t, page))
			if s.left != nil {
				t.Skip(strings.Join(s.left, "\n"))
			}
		})
	}
}

// A script is what a page has a reader type.
type script struct {
	text  strings.Builder
	shown []shown
	dir   string   // of files and outputs
	left  []string // which blocks cannot run here, and why
	ended bool     // the page, as what follows needs what is left out
}

// shown is what a console block says that a command prints.
type shown struct{ at, file, want string }

func newScript(t *testing.T) *script {
	s := &script{dir: t.TempDir()}
	s.text.WriteString("set -eu\ntrap 'echo \"$AT: the block failed\" >&2' ERR\n")
	return s
}

// add appends what a block and the comments above it say.
func (s *script) add(t *testing.T, b block) {
	elsewhere := false
	for _, run := range b.run {
		verb, rest, _ := strings.Cut(run, " ")
		switch verb {
		case "file":
			file := s.save(t, b.text)
			fmt.Fprintf(&s.text, "AT=%s\nmkdir -p \"$(dirname %s)\"\ncp %s %s\n", b.at, rest, file, rest)
		case "first":
			fmt.Fprintf(&s.text, "AT=%s\n%s\n", b.at, rest)
		case "with":
			if why := lacking(rest); why != "" {
				s.left, s.ended = append(s.left, b.at+": "+why), rest != "kubectl"
				return
			}
		case "in":
			elsewhere = true
			if rest == ".ci/run" {
				requireCI(t, b)
			} else {
				requireTest(t, b.at, rest)
			}
		default:
			require.Fail(t, "unknown comment", "%s: run: %s", b.at, run)
		}
	}
	switch {
	case elsewhere || !b.isCommands():
	case b.language == "console":
		s.console(t, b)
	default:
		fmt.Fprintf(&s.text, "AT=%s\n%s", b.at, b.text)
	}
}

// console appends the commands of a session, which goes on after a failure as one at a
// prompt does: what each prints, on both streams, is compared afterwards.
func (s *script) console(t *testing.T, b block) {
	first, rest, _ := strings.Cut("\n"+b.text, "\n$ ")
	require.Empty(t, strings.TrimSpace(first), "%s: a session begins with a command", b.at)
	for _, part := range strings.Split(rest, "\n$ ") {
		command, want, _ := strings.Cut(part, "\n")
		for strings.HasSuffix(command, "\\") {
			var more string
			more, want, _ = strings.Cut(want, "\n")
			command += "\n" + more
		}
		file := s.save(t, "")
		fmt.Fprintf(&s.text, "AT=%s\n{ %s\n} > %s 2>&1 || true\n", b.at, command, file)
		s.shown = append(s.shown, shown{b.at, file, want})
	}
}

func (s *script) save(t *testing.T, text string) string {
	f, err := os.CreateTemp(s.dir, "")
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return f.Name()
}

// execute runs the script and holds what it prints against what the page shows.
func (s *script) execute(t *testing.T, d desk) {
	text := d.local.Replace(s.text.String())
	cmd := exec.Command("bash", s.save(t, text))
	cmd.Dir, cmd.Env = d.dir, d.env
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.NoError(t, err, "the last lines: %s", strings.Join(lines[max(0, len(lines)-15):], "\n"))
	for _, c := range s.shown {
		got, err := os.ReadFile(c.file)
		require.NoError(t, err)
		text := d.public.Replace(string(got))
		if !matches(strings.Split(strings.TrimSpace(c.want), "\n"), strings.Split(strings.TrimSpace(text), "\n")) {
			require.Equal(t, c.want, text, c.at)
		}
	}
}

// matches is whether lines are as wanted, where "..." stands for any lines and an end
// of " ..." for the rest of one.
func matches(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == "...":
		return matches(want[1:], got) || len(got) > 0 && matches(want, got[1:])
	case len(got) == 0:
		return false
	}
	begin, cut := strings.CutSuffix(want[0], " ...")
	same := strings.TrimRight(want[0], " ") == strings.TrimRight(got[0], " ") || cut && strings.HasPrefix(got[0], begin)
	return same && matches(want[1:], got[1:])
}

// lacking is why a block cannot run on this machine, or empty.
func lacking(tool string) string {
	if tool == "aiconfigurator" {
		if _, err := os.Stat(python()); err != nil {
			return "no AIConfigurator: make venv"
		}
		return ""
	}
	for _, dir := range filepath.SplitList(toolPath()) {
		if info, err := os.Stat(filepath.Join(dir, tool)); err == nil && info.Mode()&0o111 != 0 {
			return ""
		}
	}
	return "no " + tool + " on PATH or in DYNAMO_CMP_TOOLS"
}

// requireCI wants each command of a block in what CI runs.
func requireCI(t *testing.T, b block) {
	t.Helper()
	ci := strings.Split(read(t, ".ci/run"), "\n")
	for line := range strings.Lines(b.text) {
		command, _, _ := strings.Cut(line, " #")
		require.Contains(t, ci, strings.TrimSpace(command), b.at)
	}
}

// requireTest wants the test by which a block is covered: "PACKAGE TestName", or
// "PACKAGE TestScript/case" for a script there.
func requireTest(t *testing.T, at, test string) {
	t.Helper()
	dir, name, _ := strings.Cut(test, " ")
	name, scriptCase, isScript := strings.Cut(name, "/")
	if isScript {
		require.FileExists(t, filepath.Join(root, dir, "testdata", scriptCase+".txtar"), at)
	}
	sources, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(sources, func(path string) bool {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		return strings.Contains(string(source), "\nfunc "+name+"(")
	}), "%s: there is no test %s in %s", at, name, dir)
}
