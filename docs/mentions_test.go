package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	flagName = regexp.MustCompile(`(?:^|[ \x60(\[,])--([a-z][a-z0-9-]+)`)
	// call is one of our commands with what follows it, to the end of the command; in
	// quotes it is one for sure, and not a sentence.
	call = regexp.MustCompile(`(\x60?)\b(dynamo-cmp|dynamo-profile-runner) ([a-z]+)([^\x60|;&>\n]*)`)
	// apart is what is not a page's text: blocks, and comments.
	apart  = regexp.MustCompile("(?ms)^ *```.*?^ *```$|<!--.*?-->")
	target = regexp.MustCompile(`\x60make ([a-z0-9-]+)`)
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// foreign are flags of other tools, which the pages mention in their text.
var foreign = strings.Fields(`
	load-restrictor plugin-tar-exclude plugin-use-manifest-generate-paths hard-refresh
	new-bundle-format save-dir unshallow help`)

// engines are pages about the flags of engines, planner and AIPerf.
var engines = []string{"docs/deviations.md", "docs/workload.md"}

// Each subcommand and each flag of ours that a page mentions exists: with the command
// where it is named, and with any where the flag stands alone.
func TestFlagsExist(t *testing.T) {
	known := map[string][]string{}
	for _, command := range commands {
		for _, sub := range subcommands(t, command) {
			for _, m := range flagName.FindAllStringSubmatch(help(t, command, sub), -1) {
				known[command+" "+sub] = append(known[command+" "+sub], m[1])
			}
		}
	}
	var any []string
	for _, flags := range known {
		any = append(any, flags...)
	}
	for _, page := range pages(t) {
		text := strings.ReplaceAll(read(t, page), "\\\n", " ")
		for _, m := range call.FindAllStringSubmatch(text, -1) {
			own, exists := known[m[2]+" "+m[3]]
			require.True(t, exists || m[1] == "", "%s: there is no command %s %s", page, m[2], m[3])
			if !exists {
				continue
			}
			arguments, _, _ := strings.Cut(m[4], " -- ")
			for _, f := range flagName.FindAllStringSubmatch(arguments, -1) {
				require.Contains(t, own, f[1], "%s: %q", page, m[0])
			}
		}
		if slices.Contains(engines, page) {
			continue
		}
		for _, f := range flagName.FindAllStringSubmatch(apart.ReplaceAllString(text, ""), -1) {
			require.True(t, slices.Contains(any, f[1]) || slices.Contains(foreign, f[1]), "%s: no command has a flag --%s", page, f[1])
		}
	}
}

// What a page tells to make is a target.
func TestTargetsExist(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range target.FindAllStringSubmatch(read(t, page), -1) {
			require.Contains(t, "\n"+read(t, "Makefile"), "\n"+m[1]+":", page)
		}
	}
}

// Links lead to files that are there, and to headings in them.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, heading, _ := strings.Cut(m[1], "#")
			to := page
			if path != "" {
				to = filepath.Join(filepath.Dir(page), path)
			}
			_, err := os.Stat(filepath.Join(root, to))
			require.NoError(t, err, "%s: link %s", page, m[1])
			if heading != "" {
				require.Contains(t, anchors(t, to), heading, "%s: link %s", page, m[1])
			}
		}
	}
}

// Every page is in the index, alone or by a link of its directory.
func TestPagesAreListed(t *testing.T) {
	index := read(t, "docs/README.md")
	for _, page := range pages(t) {
		if rel, below := strings.CutPrefix(page, "docs/"); below && rel != "README.md" {
			require.Contains(t, index, "]("+rel+")", "docs/README.md does not list the page")
		}
	}
}

var notInAnchors = regexp.MustCompile(`[^\pL\pN _-]`)

// anchors are the headings of a page as GitHub names them in links.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(read(t, page)) {
		if strings.HasPrefix(line, "#") {
			heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			names = append(names, strings.ReplaceAll(notInAnchors.ReplaceAllString(heading, ""), " ", "-"))
		}
	}
	return names
}
