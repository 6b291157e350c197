package render_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A small repository cannot be made into an output without bound: by aliases, by bases
// that are used again, by patches that copy.
func TestOutputIsBounded(t *testing.T) {
	value := strings.Repeat("x", 1<<20)
	object := func(name, data string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n" + data
	}
	aliases := "data:\n  a: &a " + value + "\n"
	for i := range 70 {
		aliases += fmt.Sprintf("  a%d: *a\n", i)
	}
	used := ""
	for i := range 40 {
		used += fmt.Sprintf("- ../use%d\n", i)
	}
	again := map[string]string{"app/kustomization.yaml": "resources:\n" + used,
		"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": object("a", "data:\n  a: "+value+value+"\n")}
	for i := range 40 {
		again[fmt.Sprintf("use%d/kustomization.yaml", i)] = fmt.Sprintf("namePrefix: p%d-\nresources: [../base]\n", i)
	}
	copies := "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n"
	for i := range 30 {
		copies += fmt.Sprintf("    - {op: copy, from: /metadata/annotations, path: /metadata/annotations/a%d}\n", i)
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"aliases", map[string]string{"app/a.yaml": object("a", aliases)},
			`app/a.yaml:1: with ConfigMap "a" the output is more than the 67108864 bytes allowed; to render it, split the directory`},
		{"aliases in a kustomization", map[string]string{"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": object("a", aliases)},
			"app/kustomization.yaml: builds resources of 74449292 bytes, more than the 67108864 allowed"},
		{"a base used again", again, "app/kustomization.yaml: builds resources of 83888320 bytes, more than the 67108864 allowed"},
		{"copies of copies", map[string]string{"app/kustomization.yaml": copies, "app/a.yaml": object("a", "  annotations: {a: b}\n")},
			"app/kustomization.yaml: Unable to complete the copy, the accumulated size increase of copy is "},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.files[".git/HEAD"] = ""
			out, _, err := build(t, filepath.Join(write(t, c.files), "app"), nil)
			require.ErrorContains(t, err, c.want)
			require.Empty(t, out)
		})
	}
}
