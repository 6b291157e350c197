package profile

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected files")

// TestCases reads each NAME.yaml of an archive, with the archive's hardware.yaml
// where it has one, and compares with NAME.want: every problem, or the warnings
// and the request.
func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			require.NoError(t, err)
			checkArchive(t, archive)
			if *update {
				require.NoError(t, os.WriteFile(path, txtar.Format(archive), 0o644))
			}
		})
	}
}

func checkArchive(t *testing.T, archive *txtar.Archive) {
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	out := &txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		out.Files = append(out.Files, f)
		if f.Name == "hardware.yaml" {
			continue
		}
		got := report(f.Name, f.Data, []byte(files["hardware.yaml"]))
		out.Files = append(out.Files, txtar.File{Name: name + ".want", Data: []byte(got)})
		if !*update {
			require.Equal(t, files[name+".want"], got, f.Name)
		}
	}
	archive.Files = out.Files
}

// report is what a case expects: the error, or each request with its warnings.
func report(file string, data, hardware []byte) string {
	if strings.HasPrefix(file, "hardware-") {
		h, err := ParseHardware(file, data)
		if err != nil {
			return err.Error() + "\n"
		}
		return dump(h.Hardware)
	}
	var def Defaults
	if len(hardware) > 0 {
		h, err := ParseHardware("hardware.yaml", hardware)
		if err != nil {
			return err.Error() + "\n"
		}
		def.Hardware = h
	}
	docs, err := Documents(file, data)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, d := range docs {
		if !d.IsRequest() {
			fmt.Fprintf(&b, "%s:%d: document %d is %s %s %s/%s\n", file, d.Line, d.Index, d.APIVersion, d.Kind, d.Namespace, d.Name)
			continue
		}
		req, err := Parse(d, def)
		if err != nil {
			b.WriteString(err.Error() + "\n")
			continue
		}
		for _, w := range req.Warnings {
			fmt.Fprintf(&b, "warning: %s\n", w)
		}
		b.WriteString(dump(struct {
			Name, Namespace     string            `json:",omitempty"`
			Labels, Annotations map[string]string `json:",omitempty"`
			Spec                Spec
			Inputs              Inputs
			Key                 Key
		}{req.Name, req.Namespace, req.Labels, req.Annotations, req.Spec, req.Inputs(), req.Inputs().Key()}))
	}
	return b.String()
}

func dump(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err.Error() + "\n"
	}
	return b.String()
}
