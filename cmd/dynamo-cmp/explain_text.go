package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// text is an explanation for people.
func (e explanation) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n\n", e.Request, e.File)
	line := func(name, format string, args ...any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-10s ", name)+fmt.Sprintf(format, args...), " ") + "\n")
	}
	line("key", "%s", e.Key)
	for _, l := range e.Inputs.Lines() {
		line("", "%s", l)
	}
	line("result", "%s", orDash(e.Result))
	line("", "from %s", e.From)
	line("", "%s, by %s", e.Confidence, e.Profiler.Name())
	if e.Reason != "" {
		line("", "%s", e.Reason)
	}
	line("SLA", "%s", e.slaText())
	for i, m := range e.Margins {
		binds := ""
		if i == 0 {
			binds = ", and binds"
		}
		line("", "%s leaves %s of %s ms (%.1f %%)%s", m.Target, number(m.MarginMillis), number(m.TargetMillis), m.Percent, binds)
	}
	line("pick", "%s %s", e.Pick.Backend, e.Pick.Topology)
	if e.Selected > 0 {
		line("", "number %d of the result, selected in the lock", e.Selected)
	}
	if len(e.Alternatives) > 0 {
		other := "runner-up"
		if e.Selected > 1 {
			other = "instead of"
		}
		line(other, "%s %s", e.Alternatives[0].Backend, e.Alternatives[0].Topology)
		if lost := lostBy(e.Pick, e.Alternatives[0]); lost != "" {
			line("", "%s", lost)
		}
	}
	b.WriteString("\n")
	e.alternatives(&b)
	if e.Against != nil {
		e.Against.text(&b)
	}
	return b.String()
}

func (e explanation) slaText() string {
	switch {
	case !e.SLA.Verified:
		return "unverified: nothing was predicted"
	case e.SLA.Met:
		return "met"
	}
	return "missed"
}

// lostBy is what the runner-up does otherwise than the pick.
func lostBy(pick, other ranked) string {
	if pick.Expected == nil || other.Expected == nil {
		return ""
	}
	var parts []string
	compare := func(name, more, less string, theirs, ours float64) {
		if ours > 0 && theirs != ours {
			word := more
			if theirs < ours {
				word = less
			}
			parts = append(parts, fmt.Sprintf("%.1f %% %s %s", 100*abs(theirs-ours)/ours, word, name))
		}
	}
	compare("tokens/s/GPU", "more", "fewer", other.Expected.TokensPerSecondPerGPU, pick.Expected.TokensPerSecondPerGPU)
	compare("ttft", "longer", "shorter", other.Expected.TTFTMillis, pick.Expected.TTFTMillis)
	compare("itl", "longer", "shorter", other.Expected.ITLMillis, pick.Expected.ITLMillis)
	compare("GPUs", "more", "fewer", float64(other.GPUs), float64(pick.GPUs))
	if len(parts) == 0 {
		return "expected to do the same"
	}
	return strings.Join(parts, ", ")
}

func abs(f float64) float64 { return max(f, -f) }

// alternatives is the table of all configurations in the order of the result.
func (e explanation) alternatives(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "#\tbackend\ttopology\tttft ms\titl ms\ttokens/s/GPU")
	all := slices.Concat([]ranked{e.Pick}, e.Alternatives)
	slices.SortFunc(all, func(a, b ranked) int { return a.Index - b.Index })
	for _, r := range all {
		m := r.Expected
		if m == nil {
			fmt.Fprintf(w, "%d\t%s\t%s\t-\t-\t-\n", r.Index, r.Backend, r.Topology)
			continue
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", r.Index, r.Backend, r.Topology, number(m.TTFTMillis), number(m.ITLMillis), number(m.TokensPerSecondPerGPU))
	}
	w.Flush()
}

// text is a table of two deployments by role. Sizes are there where they say
// anything, other flags where they differ; a star marks what differs.
func (c *compared) text(b *strings.Builder) {
	for _, role := range c.Roles {
		fmt.Fprintln(b)
		w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "%s\tchosen\t%s\n", role.Role, c.File)
		row := func(mark, name, chosen, against string) {
			fmt.Fprintf(w, "%1s %s\t%s\t%s\n", mark, name, clip(chosen, maxShown), clip(against, maxShown))
		}
		sizes := append(sizesOf(role.Chosen), sizesOf(role.Against)...)
		half := len(sizes) / 2
		for i, size := range sizes[:half] {
			chosen, against := size.value, sizes[half+i].value
			mark := ""
			if slices.ContainsFunc(role.Differences, func(d render.Difference) bool { return d.Name == size.name }) {
				mark = "*"
			}
			if mark != "" || !slices.Contains(size.usual, chosen) || !slices.Contains(size.usual, against) {
				row(mark, size.title, chosen, against)
			}
		}
		for _, d := range role.Differences {
			if !slices.ContainsFunc(sizes, func(s size) bool { return s.name == d.Name }) {
				row("*", d.Name, orDash(d.Chosen), orDash(d.Against))
			}
		}
		w.Flush()
	}
}

// maxShown is how much of a value a table shows, in bytes.
const maxShown = 48

// size is a row of the table that compares sizes.
type size struct {
	name  string // of the Difference
	title string
	value string
	usual []string // not worth a row
}

func sizesOf(s *render.Sizing) []size {
	const none = "-"
	of := orDash
	if s == nil {
		s, of = &render.Sizing{}, func(string) string { return none }
	}
	rows := []size{
		{"", "component", of(s.Component), nil},
		{"replicas", "replicas", of(strconv.Itoa(s.Replicas)), nil},
		{"nodes", "nodes per engine", of(strconv.Itoa(s.Nodes)), []string{"1", none}},
		{"gpusPerEngine", "GPUs per engine", of(strconv.Itoa(s.GPUsPerEngine)), []string{"0", none}},
	}
	for _, flag := range render.ParallelFlags() {
		rows = append(rows, size{flag, flag, of(s.Flags[flag]), []string{"1", none}})
	}
	return rows
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func number(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}
