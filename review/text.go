package review

import (
	"fmt"
	"strings"
	"unicode"
)

// Text is the review for a terminal.
func (r *Review) Text(color bool) string {
	p := painter{color: color}
	p.line("", "%s → %s: %s", r.Base, r.Head, r.headline())
	for _, c := range r.Apps {
		if c.Status != Same {
			p.app(&c, r.Currency)
		}
	}
	first := true
	for _, c := range r.Apps {
		if c.Status == Same {
			if first {
				p.line("", "")
				first = false
			}
			p.line("", "%s", c.title())
		}
	}
	if len(r.Violations) > 0 {
		p.line("", "")
	}
	for _, v := range r.Violations {
		p.line(red, "refused: %s: request %q: %s (%s)", v.Dir, v.Request, v.Message, v.Rule)
	}
	return p.b.String()
}

// String is a revision as a reader knows it.
func (r Revision) String() string {
	commit := r.Commit[:min(len(r.Commit), 12)]
	switch {
	case commit == "":
		return r.Name
	case strings.HasPrefix(r.Commit, r.Name):
		return commit
	}
	return fmt.Sprintf("%s (%s)", clip(r.Name, 100), commit)
}

// clip is the beginning of a text, at most n bytes of it.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

// The colours of a terminal, as ECMA-48 numbers them.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

type painter struct {
	b     strings.Builder
	color bool
}

func (p *painter) line(color, format string, args ...any) {
	text := strings.Map(func(r rune) rune { // a value must not steer the terminal, nor forge a line
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
	if p.color && color != "" {
		text = "\x1b[" + color + "m" + text + "\x1b[0m"
	}
	p.b.WriteString(text + "\n")
}

func colorOf(status string) string {
	switch status {
	case Added:
		return green
	case Removed, Failed:
		return red
	}
	return yellow
}

func (p *painter) app(c *Change, currency string) {
	p.line("", "")
	p.line(bold, "%s", c.title())
	for _, e := range c.Errors {
		for line := range strings.Lines(strings.TrimSpace(e.Message)) {
			p.line(red, "  %s: %s", e.Side, strings.TrimSpace(line))
		}
	}
	for _, r := range c.Requests {
		p.line(colorOf(r.Status), "  %s", r.title())
		for _, f := range r.facts(currency) {
			value := fromTo(f.base, f.head)
			if r.Base == nil || r.Head == nil {
				value = f.base + f.head
			}
			p.line("", "    %-15s  %s", f.name, value)
		}
		p.list("Why", r.Why)
		p.list("Rollout", r.Rollout)
	}
	for _, o := range c.Objects {
		p.line(colorOf(o.Status), "  %s", o.title())
		for _, f := range o.Fields {
			p.line("", "    %s", f.line())
		}
	}
}

func (p *painter) list(name string, lines []string) {
	for _, line := range lines {
		p.line("", "    %-15s  %s", name, line)
		name = ""
	}
}
