package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var commands = []string{"dynamo-cmp", "dynamo-profile-runner"}

// help is what a command says of itself, on any machine.
func help(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, args[0]), append(args[1:], "--help")...)
	cmd.Env = []string{"HOME=/home"}
	out, err := cmd.Output()
	require.NoError(t, err, args)
	return strings.ReplaceAll(string(out), "/home/.cache", "~/.cache")
}

var listed = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}`)

// subcommands are those that a command lists, but what cobra adds.
func subcommands(t *testing.T, command string) []string {
	t.Helper()
	_, list, found := strings.Cut(help(t, command), "Available Commands:\n")
	require.True(t, found)
	list, _, _ = strings.Cut(list, "\n\n")
	var names []string
	for _, m := range listed.FindAllStringSubmatch(list, -1) {
		if m[1] != "completion" && m[1] != "help" {
			names = append(names, m[1])
		}
	}
	return names
}

// The reference of the command lines is what they say of themselves.
func TestReferenceOfCommandLines(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Command lines\n\n<!-- Written by go test ./docs -update from the help of both commands. -->\n\n")
	b.WriteString("What each command says with `--help`. Settings that Applications and sidecars share: [reference-parameters.md](reference-parameters.md).\n")
	for _, command := range commands {
		b.WriteString("\n## " + command + "\n\n```text\n" + help(t, command) + "```\n")
		for _, sub := range subcommands(t, command) {
			b.WriteString("\n### " + command + " " + sub + "\n\n```text\n" + help(t, command, sub) + "```\n")
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("reference-cli.md", []byte(b.String()), 0o644))
	}
	require.Equal(t, b.String(), read(t, "docs/reference-cli.md"), "to write it anew: go test ./docs -update")
}
