package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// pinned is a line of a requirements file that pins a package: name==version.
var pinned = regexp.MustCompile(`(?m)^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)`)

// writeSBOM writes what an image is made of beside its layout.
func writeSBOM(layout, binary string, requirements ...string) error {
	bom, err := sbom(binary, requirements...)
	if err != nil {
		return fmt.Errorf("listing the components of %s: %w", filepath.Base(layout), err)
	}
	return os.WriteFile(layout+".cdx.json", bom, 0o644)
}

// sbom is the software bill of materials of an image in CycloneDX's JSON: the modules
// that the linker put into its binary, and what requirements files pin. It has no date
// and no serial number: the same sources give the same bytes.
func sbom(binary string, requirements ...string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	components := []cdx.Component{component("golang", "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, component("golang", m.Path, m.Version))
	}
	for _, file := range requirements {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		pins := pinned.FindAllStringSubmatch(string(text), -1)
		if len(pins) == 0 {
			return nil, fmt.Errorf("%s: pins no package", file)
		}
		for _, pin := range pins {
			components = append(components, component("pypi", strings.ToLower(pin[1]), pin[2]))
		}
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	components = slices.CompactFunc(components, func(a, b cdx.Component) bool { return a.BOMRef == b.BOMRef })

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &cdx.Component{Type: cdx.ComponentTypeApplication, Name: info.Path, Version: info.Main.Version}}
	bom.Components = &components
	var out bytes.Buffer
	err = cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return out.Bytes(), err
}

func component(kind, name, version string) cdx.Component {
	url := "pkg:" + kind + "/" + name + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: url}
}
