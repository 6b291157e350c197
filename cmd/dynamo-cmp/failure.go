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
	problems := problemsIn(err.Error())
	var b strings.Builder
	for i, problem := range problems {
		last := fmt.Sprintf(rest, len(problems)-i, dir)
		if b.Len()+len(problem)+1+len(last)+1 > maxFailure {
			return b.String() + last
		}
		b.WriteString(problem + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// problemsIn takes an error apart: a line is a problem, with the lines below it
// that begin with a tab.
func problemsIn(text string) []string {
	var problems []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(line, "\t"); ok && len(problems) > 0 {
			problems[len(problems)-1] += "\n\t" + clip(rest, maxFailureLine)
			continue
		}
		problems = append(problems, clip(line, maxFailureLine))
	}
	return problems
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
