package profile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with, or worth saying about, an input file.
type Problem struct {
	File    string // as the caller named it
	Line    int    // 1-based; 0 when the position is unknown
	Path    string // field path such as spec.workload.isl; empty for the document
	Message string // lower case, no full stop
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(OneLine(p.File))
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(OneLine(p.Path))
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is every problem of a file, in the order of their lines. A non-empty
// Problems is an error whose text has one line for each.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sorted is the problems in the order of their lines, each said once.
func (ps Problems) sorted() Problems {
	out := slices.Clone(ps)
	slices.SortStableFunc(out, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	seen := map[Problem]bool{}
	return slices.DeleteFunc(out, func(p Problem) bool {
		again := seen[p]
		seen[p] = true
		return again
	})
}
