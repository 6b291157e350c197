package main

import (
	"os"
	"path/filepath"
)

// defaultPython is the one that make venv prepared, else that of PATH.
func defaultPython() string {
	return beside(".venv/bin/python", "python3")
}

// beside is a path below the working directory, or below the parent of the binary's,
// if there is such a file, else another.
func beside(path, other string) string {
	candidates := []string{filepath.FromSlash(path)}
	if exe, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(exe), "..", path))
	}
	for _, c := range candidates {
		if _, err := os.Stat(c); err == nil {
			return c
		}
	}
	return other
}

// defaultAIPerf is the one that make venv prepared, else that of PATH.
func defaultAIPerf() string {
	return beside(".venv-aiperf/bin/aiperf", "aiperf")
}
