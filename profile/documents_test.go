package profile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHostileFiles: each is one clear message, soon and in little memory.
func TestHostileFiles(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a: &a [x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c <= 'k'; c++ {
		fmt.Fprintf(&bomb, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	head := "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata: {name: x}\nspec:\n"
	for _, c := range []struct{ name, data, want string }{
		{"alias bomb", bomb.String(), "f.yaml:1: aliases expand to more than the 100000 values allowed"},
		{"many alias bombs", strings.Repeat(bomb.String()+"---\n", 1000), "f.yaml:1: aliases expand to more than the 100000 values allowed"},
		{"50 MB", strings.Repeat("x", 50<<20), "f.yaml: is 52428800 bytes, more than the 4194304 allowed"},
		{"binary", "\x7fELF\x02\x01\x00\xff", "f.yaml: is binary: not UTF-8 text"},
		{"text with a NUL", "a: b\nc: \x00", "f.yaml:2: is binary: holds byte 0x00"},
		{"open brackets", strings.Repeat("[", 100_000), "f.yaml:1: not valid YAML: exceeded max depth of 10000"},
		{"nested brackets", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "f.yaml:1: is nested deeper than 100 levels"},
		{"nested dashes", strings.Repeat("- ", 5000) + "a", "f.yaml:1: is nested deeper than 100 levels"},
		{"many values", "[" + strings.Repeat("a,", 2_000_000) + "a]", "f.yaml: holds more than the 250000 values allowed"},
		{"many documents", strings.Repeat("---\na: b\n", 190_000), "f.yaml: holds more than the 250000 values allowed"},
		{"a wide request", head + strings.Repeat("  - a\n", 30_000), "f.yaml:1: holds more than the 20000 values a request may"},
		{"a long field name", head + "  ? " + strings.Repeat("k", 4_000_000) + "\n  : {a: b}\n",
			"f.yaml:4: spec.hardware: gpuSku"},
		{"a cycle", "a: &a {b: {<<: *a}}\n", "f.yaml:1: alias *a refers to itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			err := parseAll([]byte(c.data))
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 2000)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(120<<20))
			require.Less(t, took, 5*time.Second) // under a second on a machine of its own
		})
	}
}

// TestLargestFile: what the limits just admit stays cheap as well.
func TestLargestFile(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	docs, err := Documents("f.yaml", []byte("["+strings.Repeat("a,", 249_990)+"a]"))
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Len(t, docs, 1)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(120<<20))
}

// parseAll returns the first error of the file.
func parseAll(data []byte) error {
	docs, err := Documents("f.yaml", data)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if _, err := Parse(d, Defaults{}); err != nil {
			return err
		}
	}
	return nil
}
