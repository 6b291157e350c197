package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"unicode"
)

// Argo CD shows all of stderr behind a long prefix, in a condition of the
// Application and in its UI: what is longer than a screen is not read there.
const (
	maxFailure     = 4000 // bytes
	maxFailureLine = 1000
)

// failure is the text of an error as it is printed. Under Argo CD it is cut to what
// can be read there.
func failure(err error) string {
	if !underArgoCD() {
		return err.Error()
	}
	const rest = "and %d more: run dynamo-cmp generate %s to see all"
	dir := clip(cmp.Or(os.Getenv(argoPath), "DIR"), 200)
	// A line that begins with a tab belongs to the problem above it.
	text := strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), "\n\t", "\t\t")
	problems := strings.Split(text, "\n")
	var b strings.Builder
	for i, problem := range problems {
		var lines []string
		for line := range strings.SplitSeq(problem, "\t\t") {
			lines = append(lines, clip(line, maxFailureLine))
		}
		problem = strings.Join(lines, "\n\t") + "\n"
		last := fmt.Sprintf(rest, len(problems)-i, dir)
		if b.Len()+len(problem)+len(last)+1 > maxFailure {
			return b.String() + last
		}
		b.WriteString(problem)
	}
	return strings.TrimRight(b.String(), "\n")
}

// clip makes a line of at most n bytes, without its middle where it is longer: the
// beginning says where, the end what to do.
func clip(line string, n int) string {
	line = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, line)
	if len(line) <= n {
		return line
	}
	const gap = " … "
	half := (n - len(gap)) / 2
	return strings.ToValidUTF8(line[:half], "") + gap + strings.ToValidUTF8(line[len(line)-half:], "")
}
