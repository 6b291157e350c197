package main

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

//go:embed remarks.md
var remarks string

// titles name the sections, in the order of the page.
var titles = []struct{ section, title, text string }{
	{"render", "Render", "The whole process, local copies of the results there. Each request has a result of its own. kustomize and Helm print objects that equal ours; Helm's chart is the text of one deployment with its differing lines as values. Dynamo's assembly starts from a pick in memory, as ours does from a result, and its first deployment equals ours but for the rules of [deviations.md](deviations.md)."},
	{"fleet", "A fleet of requests", "`dynamo-profile-runner run` on requests of which 95 % have a result; the others are for GPUs without tables and are answered by the rule of thumb."},
	{"review", "diff and lint", "One request of the fleet was changed since the commit."},
	{"store", "Store", "The distribution registry on loopback, behind a proxy that counts requests. Each result is an artifact of its own."},
	{"profile", "Profiling", "The same requests, one process of Dynamo's profiler after the other as the operator's Jobs run it, and all in one of ours. The picks are compared. The last rows are eight of them with more jobs: their size is the jobs, and their peak is that of all processes at once."},
	{"thorough", "Thorough searches", "The size is the number of candidates, which real servers of Dynamo's mocker answer and AIPerf measures with two points for each decode engine. The own part is what the runner takes beside engines that start and AIPerf that measures: it asks AIConfigurator for predictions, deploys and deletes candidates, keeps what was measured, picks, and stores; its CPU time is that of the runner's process alone."},
}

// page is docs/performance.md.
func (r *report) page() string {
	var b strings.Builder
	b.WriteString("# Performance\n\nWritten by `make bench`, which installs what it compares with, checks that all of them answer the same, and then runs them in turn. " +
		"Figures are the median of several runs of the whole process, on one machine; read the ratios. `make bench-short` makes the checks alone.\n\n")
	fmt.Fprintf(&b, "Machine: %s.\n\nCompared with: %s.\n", r.Machine, strings.Join(r.Versions, ", "))
	b.WriteString("\n## Goals\n\n| | goal | found |\n|---|---|---|\n")
	for _, t := range titles {
		for _, g := range r.Goals {
			if g.Section == t.section {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", map[bool]string{true: "met", false: "**missed**"}[g.Met], g.Text, g.Found)
			}
		}
	}
	b.WriteString("\n" + strings.TrimSpace(remarks) + "\n")
	for _, t := range titles {
		r.table(&b, t.section, t.title, t.text)
	}
	return b.String()
}

func (r *report) table(b *strings.Builder, section, title, text string) {
	if r.Load[section] == "" {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s Load of the machine at the start: %s.\n\n", title, text, r.Load[section])
	b.WriteString("| work | size | tool | time | CPU | peak | time to ours | peak to ours |\n|---|--:|---|--:|--:|--:|--:|--:|\n")
	var ours row
	for _, x := range r.Rows {
		if x.Section != section {
			continue
		}
		if x.Work != ours.Work || x.N != ours.N {
			ours = x
		}
		ratio, memory := "", ""
		if x.Tool != ours.Tool {
			ratio = times(float64(x.Usage.Wall) / float64(ours.Usage.Wall))
			if ours.Usage.Peak > 0 && x.Usage.Peak > 0 {
				memory = times(x.Usage.Peak / ours.Usage.Peak)
			}
		}
		peak := ""
		if x.Usage.Peak > 0 {
			peak = fmt.Sprintf("%.0f MiB", x.Usage.Peak)
		}
		tool := x.Tool
		if x.Note != "" {
			tool += ": " + x.Note
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %s | %s |\n", x.Work, x.N, tool, seconds(x.Usage.Wall), seconds(x.Usage.CPU), peak, ratio, memory)
	}
	for _, g := range r.growths(section) {
		fmt.Fprintf(b, "\n![%s](%s)\n", g.work, g.file())
		for _, l := range g.lines {
			fmt.Fprintf(b, "\n%s: time grows as size to the power of %.2f from %d to %d.\n", l.tool, l.slope, l.sizes[l.from], l.sizes[len(l.sizes)-1])
		}
	}
}

func times(ratio float64) string { return fmt.Sprintf("%.3gx", ratio) }

func seconds(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

// growth is how the time of a work grows with its size.
type growth struct {
	section, work string
	lines         []growthLine
}

type growthLine struct {
	tool  string
	sizes []int
	times []time.Duration
	from  int     // where the fit begins
	slope float64 // of the logarithms
}

func (g growth) file() string {
	words := strings.FieldsFunc(strings.ToLower(g.work), func(r rune) bool { return r < 'a' || r > 'z' })
	return "performance-" + strings.Join(words, "-") + ".svg"
}

// growths are the works of a section that were done at several sizes.
func (r *report) growths(section string) []growth {
	var all []growth
	for _, x := range r.Rows {
		if x.Section != section {
			continue
		}
		i := slices.IndexFunc(all, func(g growth) bool { return g.work == x.Work })
		if i < 0 {
			i, all = len(all), append(all, growth{section: section, work: x.Work})
		}
		g := &all[i]
		at := -1
		for i := range g.lines {
			if g.lines[i].tool == x.Tool {
				at = i
			}
		}
		if at < 0 {
			at, g.lines = len(g.lines), append(g.lines, growthLine{tool: x.Tool})
		}
		g.lines[at].sizes = append(g.lines[at].sizes, x.N)
		g.lines[at].times = append(g.lines[at].times, x.Usage.Wall)
	}
	var several []growth
	for _, g := range all {
		if len(g.lines[0].sizes) < 3 {
			continue
		}
		for i := range g.lines {
			g.lines[i].fit()
		}
		several = append(several, g)
	}
	return several
}

// fit is over the last three sizes: what a process takes to start hides the rest
// in the first.
func (l *growthLine) fit() {
	l.from = max(0, len(l.sizes)-3)
	var n, sx, sy, sxx, sxy float64
	for i := l.from; i < len(l.sizes); i++ {
		x, y := math.Log(float64(l.sizes[i])), math.Log(l.times[i].Seconds())
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	l.slope = (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
