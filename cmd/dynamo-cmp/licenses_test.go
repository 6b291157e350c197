package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// licenses are those that may be linked into what we ship, by words of their text.
var licenses = []struct {
	name  string
	words *regexp.Regexp
}{
	{"Apache-2.0", regexp.MustCompile(`Apache License\s+Version 2\.0`)},
	{"MPL-2.0", regexp.MustCompile(`Mozilla Public License,? [Vv]ersion 2\.0`)},
	{"BSD", regexp.MustCompile(`Redistribution and use in source and binary forms`)},
	{"MIT", regexp.MustCompile(`Permission is hereby granted, free of charge`)},
	{"FTL", regexp.MustCompile(`The FreeType License, which is similar to the original BSD license`)}, // of the plots' rasterizer
	{"CC-BY-4.0", regexp.MustCompile(`Creative Commons Attribution 4\.0 International`)},              // of the plots' SVG writer
	{"ISC", regexp.MustCompile(`Permission to use, copy, modify, and(/or)? distribute this software`)},
}

// Every module that is linked into a command has a license that is known to allow it.
func TestLicenses(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "../...").Output()
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		module, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || seen[module] {
			continue
		}
		seen[module] = true
		require.NotEmpty(t, licenseOf(t, dir), "%s: no license that may be linked; look at %s", module, dir)
	}
	require.Greater(t, len(seen), 30)
}

// licenseOf is the name of the license in a module's directory, empty for none of ours.
func licenseOf(t *testing.T, dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "[LC][IO][CP][EY][NI]*")) // LICENSE, LICENCE, COPYING
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, l := range licenses {
			if l.words.Match(text) {
				return l.name
			}
		}
	}
	return ""
}
