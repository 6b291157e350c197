package review

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// MaxComment is how many bytes a comment may have: GitHub takes 65,536 characters,
// GitLab more.
const MaxComment = 65536

// commentMark lets a script find the comment that it wrote before.
const commentMark = "<!-- dynamo-cmp diff -->\n"

// room is kept for the note on what was left out.
const room = 400

// Markdown is the review as a comment of at most MaxComment bytes. What has no room is
// left out from the end, manifests before anything else, and a note says so.
func (r *Review) Markdown() string {
	sections := r.sections()
	left := MaxComment - room
	take := func(text string) (string, int) {
		if len(text) > left {
			return "", 1
		}
		left -= len(text)
		return text, 0
	}
	var b strings.Builder
	dropped, folded := 0, 0
	kept := make([]string, len(sections))
	for i, s := range sections {
		var lost int
		kept[i], lost = take(s.text)
		dropped += lost
	}
	for i, s := range sections {
		b.WriteString(kept[i])
		if kept[i] == "" && s.text != "" {
			continue
		}
		for _, fold := range s.folds {
			text, lost := take(fold)
			folded += lost
			b.WriteString(text)
		}
	}
	if dropped+folded > 0 {
		var what []string
		if dropped > 0 {
			what = append(what, plural(dropped, "section"))
		}
		if folded > 0 {
			what = append(what, plural(folded, "manifest"))
		}
		command := cmp.Or(r.Command, "dynamo-cmp diff --base "+clip(r.Base.Name, 100))
		fmt.Fprintf(&b, "\n> [!NOTE]\n> %s left out: a comment has room for 65,536 characters. To see all: %s.\n", strings.Join(what, " and "), code(command))
	}
	return b.String()
}

// section is a part of a comment with the manifests that are folded below it.
type section struct {
	text  string
	folds []string
}

func (r *Review) sections() []section {
	var top strings.Builder
	top.WriteString(commentMark)
	fmt.Fprintf(&top, "### Deployments: %s\n\n", escape(r.headline()))
	fmt.Fprintf(&top, "%s → %s\n%s", code(r.Base.String()), code(r.Head.String()), r.Preface)
	if len(r.Violations) > 0 {
		top.WriteString("\n> [!CAUTION]\n> Refused by policy:\n")
		for i, v := range r.Violations {
			if i == maxRows {
				fmt.Fprintf(&top, "> - and %d more\n", len(r.Violations)-i)
				break
			}
			fmt.Fprintf(&top, "> - %s in %s %s (%s)\n", code(v.Request), code(v.Dir), escape(v.Message), code(v.Rule))
		}
	}
	out := []section{{text: top.String()}}
	out = append(out, section{text: r.table()})
	var same []string
	for _, c := range r.Apps {
		if c.Status == Same {
			same = append(same, code(c.Dir))
			continue
		}
		out = append(out, c.section(r.Currency))
	}
	if len(same) > 0 {
		out = append(out, section{text: "\nEdited, and renders the same: " + strings.Join(same, ", ") + "\n"})
	}
	return out
}

// maxRows is how many requests a list of them has; maxError how much of an error is
// shown, in bytes.
const (
	maxRows  = 100
	maxError = 4000
)

// table is all requests at a glance, where there is more than one.
func (r *Review) table() string {
	var rows []string
	for _, c := range r.Apps {
		for _, q := range c.Requests {
			h, b := q.Head, q.Base
			if h == nil {
				h = b
			}
			if b == nil {
				b = h
			}
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", cell(code(q.Name)), q.Status,
				escape(fromTo(string(b.Mode), string(h.Mode))), fromTo(fmt.Sprint(b.GPUs), fmt.Sprint(h.GPUs)), fromTo(b.SLA, h.SLA), fromTo(string(b.Confidence), string(h.Confidence))))
		}
	}
	if len(rows) < 2 {
		return ""
	}
	more := ""
	if len(rows) > maxRows {
		more = fmt.Sprintf("\nand %d more\n", len(rows)-maxRows)
		rows = rows[:maxRows]
	}
	return "\n| Request | Change | Mode | GPUs | SLA | Confidence |\n|---|---|---|---|---|---|\n" + strings.Join(rows, "") + more
}

func (c *Change) section(currency string) section {
	var b strings.Builder
	switch c.Status {
	case Moved:
		fmt.Fprintf(&b, "\n#### %s moved from %s\n", code(c.Dir), code(c.Was))
	case Failed:
		fmt.Fprintf(&b, "\n#### %s failed to render\n", code(c.Dir))
	default:
		fmt.Fprintf(&b, "\n#### %s %s\n", code(c.Dir), c.Status)
	}
	for _, e := range c.Errors {
		fmt.Fprintf(&b, "\nOn the side of the %s:\n\n%s", e.Side, fence("text", clip(strings.TrimSpace(e.Message), maxError)+"\n"))
	}
	for _, r := range c.Requests {
		r.markdown(&b, currency)
	}
	s := section{}
	for _, o := range c.Objects {
		s.folds = append(s.folds, o.fold())
	}
	s.text = b.String()
	return s
}

func (r *RequestChange) markdown(b *strings.Builder, currency string) {
	fmt.Fprintf(b, "\n**%s** %s", code(r.Name), r.Status)
	if r.Was != "" {
		fmt.Fprintf(b, " from %s", code(r.Was))
	}
	b.WriteString("\n\n")
	switch {
	case r.Base == nil || r.Head == nil:
		b.WriteString("| | |\n|---|---|\n")
	default:
		b.WriteString("| | Before | After |\n|---|---|---|\n")
	}
	for _, f := range r.facts(currency) {
		if r.Base == nil || r.Head == nil {
			fmt.Fprintf(b, "| %s | %s |\n", f.name, escape(f.base+f.head))
			continue
		}
		head := escape(f.head)
		if f.base != f.head {
			head = "**" + head + "**"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", f.name, escape(f.base), head)
	}
	for _, list := range []struct {
		name  string
		lines []string
	}{{"Why", r.Why}, {"Rollout", r.Rollout}} {
		if len(list.lines) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n%s:\n", list.name)
		for _, line := range list.lines {
			fmt.Fprintf(b, "- %s\n", escape(line))
		}
	}
}

// fold is an object, folded: what differs in it, then its manifest.
func (o *ObjectChange) fold() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n\n", escape(o.title()))
	if len(o.Fields) > 0 {
		var lines strings.Builder
		for _, f := range o.Fields {
			lines.WriteString(f.line() + "\n")
		}
		b.WriteString(fence("text", lines.String()) + "\n")
	}
	switch {
	case o.Base == "":
		b.WriteString(fence("yaml", o.Head))
	case o.Head == "":
		b.WriteString(fence("yaml", o.Base))
	default:
		b.WriteString(fence("diff", string(diff.Diff("before", []byte(o.Base), "after", []byte(o.Head)))))
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// fence is a code block that its content cannot end.
func fence(language, content string) string {
	ticks := "```"
	for strings.Contains(content, ticks) {
		ticks += "`"
	}
	if language == "diff" { // its first line repeats the names of the sides
		_, content, _ = strings.Cut(content, "\n")
	}
	return ticks + language + "\n" + content + ticks + "\n"
}

// escape makes text of text: no markup, no mention, no end of a table's cell.
func escape(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", "@", "&#64;", "`", "&#96;",
		"*", "&#42;", "[", "&#91;", "]", "&#93;").Replace(s)
}

// code is a span of code that its content cannot end.
func code(s string) string {
	return "`" + plainCode(s) + "`"
}

func plainCode(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "`", "'")
}

// cell is a span in a table.
func cell(s string) string {
	return strings.ReplaceAll(s, "|", `\|`)
}
