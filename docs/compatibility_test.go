package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)
	pin           = regexp.MustCompile("`([^`]+)` in \\[[^]]+\\]\\(([^)]+)\\)")
)

// Each version in the table of compatibility is in the text that the last column
// quotes, and that text is in the file that it names: whoever moves a pin is sent
// to the table.
func TestCompatibility(t *testing.T) {
	_, table, found := strings.Cut(read(t, "docs/compatibility.md"), "|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, " | ")
		require.Len(t, cells, 3, line)
		pins := pin.FindAllStringSubmatch(cells[2], -1)
		require.NotEmpty(t, pins, line)
		var quoted string
		for _, p := range pins {
			require.Contains(t, read(t, filepath.Join("docs", p[2])), p[1], line)
			quoted += p[1] + "\n"
		}
		versions := versionNumber.FindAllString(cells[1], -1)
		require.NotEmpty(t, versions, line)
		for _, v := range versions {
			require.True(t, strings.Contains(quoted, v) || strings.Contains(quoted, strings.Replace(v, ".", ", ", 1)), "%s is not in the pins of: %s", v, line)
		}
	}
}
