package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// charts are all drawings of the subject, without those that would be empty.
func (v *view) charts() []*chart {
	var out []*chart
	for _, c := range slices.Concat([]*chart{v.pareto()}, v.prefill(), v.decode(), []*chart{v.trials()}) {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// pareto is throughput over what a user sees, of the sweep and of what was ranked; nil
// where nothing was predicted.
func (v *view) pareto() *chart {
	t := v.res.Inputs.SLA
	c := &chart{name: "pareto", wide: true, title: "Throughput against speed",
		x: axis{label: "tokens/s per user", close: true}, y: axis{label: "tokens/s per GPU"}}
	x := func(m *profile.Metrics) float64 { return m.TokensPerSecondPerUser }
	switch {
	case t.E2ELatencyMillis > 0:
		c.title, c.x.label = "Throughput against request latency", "request latency (ms)"
		x = func(m *profile.Metrics) float64 { return m.RequestLatencyMillis }
		c.region = &region{name: fmt.Sprintf("request within %s ms", grouped(t.E2ELatencyMillis)), onX: true, bound: t.E2ELatencyMillis}
	case t.ITLMillis > 0:
		c.region = &region{name: fmt.Sprintf("ITL within %s ms", grouped(t.ITLMillis)), onX: true, above: true, bound: 1000 / t.ITLMillis}
	}
	at := func(m *profile.Metrics) plotter.XY { return plotter.XY{X: x(m), Y: m.TokensPerSecondPerGPU} }
	c.series = v.frontiers(at)
	for _, r := range v.ranked {
		if m := r.pick.Expected; m != nil {
			c.marks = append(c.marks, v.mark(r, at(m)))
		}
	}
	// Labels are placed in order: what renders first.
	slices.SortStableFunc(c.marks, func(a, b mark) int { return order(b) - order(a) })
	c.trim()
	if len(c.marks) == 0 {
		return nil
	}
	faster := "right"
	if t.E2ELatencyMillis > 0 {
		faster = "left"
	}
	c.about = fmt.Sprintf("%s, as %s. More to the %s is faster for each user, higher is more from each GPU. The exact numbers are in the table of candidates.",
		shown(len(v.res.Pareto), len(c.marks)), v.verb(), faster)
	return c
}

func shown(points, ranked int) string {
	text := "The configuration that was found"
	if ranked > 1 {
		text = fmt.Sprintf("%d ranked configurations", ranked)
	}
	if points > 0 {
		text += fmt.Sprintf(" on the frontiers of the sweep, %d points", points)
	}
	return text
}

func order(m mark) int {
	switch {
	case m.box:
		return 2
	case m.main:
		return 1
	}
	return 0
}

func (v *view) mark(r ranked, at plotter.XY) mark {
	switch {
	case r.place > 1 && r.chosen:
		return mark{label: fmt.Sprintf("%d, selected", r.place), name: "selected in the lock", box: true, at: at}
	case r.place == 1:
		return mark{label: "pick", name: "the pick", main: true, at: at}
	}
	m := mark{label: fmt.Sprint(r.place), at: at}
	if r.place == 2 || r.place == 3 && v.Selected == 2 {
		m.name = "ranked, by its number"
	}
	return m
}

// frontiers are the points of the sweep by mode, those that need too many GPUs apart.
// A result without a sweep has its ranked configurations instead.
func (v *view) frontiers(at func(*profile.Metrics) plotter.XY) []series {
	points := v.res.Pareto
	swept := len(points) > 0
	if !swept {
		for _, r := range v.ranked {
			if m := r.pick.Expected; m != nil {
				points = append(points, profile.Candidate{Mode: r.pick.Mode, Expected: *m})
			}
		}
	}
	glyphs := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}}
	var out []series
	over := series{name: fmt.Sprintf("more than %d GPUs", v.res.Inputs.Hardware.TotalGPUs), ink: inkMuted, glyph: draw.CrossGlyph{}}
	for i, k := range []profile.Mode{profile.Aggregated, profile.Disaggregated} {
		s := series{name: kind(k), ink: seriesInks[i], glyph: glyphs[i], line: swept}
		for _, p := range points {
			switch {
			case p.Mode != k:
			case p.GPUs > v.res.Inputs.Hardware.TotalGPUs:
				over.points = append(over.points, at(&p.Expected))
			default:
				s.points = append(s.points, at(&p.Expected))
			}
		}
		slices.SortStableFunc(s.points, func(a, b plotter.XY) int {
			switch {
			case a.X < b.X:
				return -1
			case a.X > b.X:
				return 1
			}
			return 0
		})
		out = append(out, s)
	}
	return append(out, over)
}

// prefill is the measured curve of the prefill engine.
func (v *view) prefill() []*chart {
	if v.res.Curves == nil {
		return nil
	}
	curve := v.res.Curves.Prefill
	asked := rule{fmt.Sprintf("asked: %s tokens", grouped(float64(v.res.Inputs.Workload.ISL))), float64(v.res.Inputs.Workload.ISL)}
	line := func(ys []float64) []series {
		return []series{{name: "prefill engine, measured", ink: inkBlue, glyph: draw.CircleGlyph{}, line: true, points: zip(curve.ISL, ys)}}
	}
	ttft := &chart{name: "prefill-ttft", title: "Time to first token over input length", x: axis{label: "input length (tokens)"}, y: axis{label: "TTFT (ms)"},
		series: line(curve.TTFTMillis), rules: []rule{asked}}
	if t := v.res.Inputs.SLA; t.E2ELatencyMillis == 0 && t.TTFTMillis > 0 {
		ttft.region = &region{name: fmt.Sprintf("TTFT within %s ms", grouped(t.TTFTMillis)), bound: t.TTFTMillis}
	}
	thpt := &chart{name: "prefill-throughput", title: "Prefill throughput over input length", x: axis{label: "input length (tokens)"}, y: axis{label: "input tokens/s per GPU"},
		series: line(curve.TokensPerSecondPerGPU), rules: []rule{asked}}
	at := fmt.Sprintf("One prompt at a time on a prefill engine of the pick%s", v.engine(profile.RolePrefill))
	ttft.about, thpt.about = at, at
	return described(ttft, thpt)
}

// decode is the measured curve of the decode engine, a line for each context length.
func (v *view) decode() []*chart {
	if v.res.Curves == nil {
		return nil
	}
	curve := v.res.Curves.Decode
	itl := &chart{name: "decode-itl", title: "Latency between tokens over KV cache use", x: axis{label: "KV cache in use (%)", most: 100}, y: axis{label: "ITL (ms)"}}
	thpt := &chart{name: "decode-throughput", title: "Decode throughput over KV cache use", x: axis{label: "KV cache in use (%)", most: 100}, y: axis{label: "tokens/s per GPU"}}
	var contexts []float64
	for _, length := range curve.ContextLength {
		if !slices.Contains(contexts, length) {
			contexts = append(contexts, length)
		}
	}
	slices.Sort(contexts)
	for i, length := range contexts {
		var kv, itls, thpts []float64
		for j := range curve.ContextLength {
			if curve.ContextLength[j] == length {
				kv, itls, thpts = append(kv, 100*curve.KVUsage[j]), append(itls, curve.ITLMillis[j]), append(thpts, curve.TokensPerSecondPerGPU[j])
			}
		}
		s := styled(i, grouped(length)+" tokens of context")
		s.points = zip(kv, itls)
		itl.series = append(itl.series, s)
		s.points = zip(kv, thpts)
		thpt.series = append(thpt.series, s)
	}
	itl.region = v.itlRegion()
	at := fmt.Sprintf("A decode engine of the pick%s, whose KV cache holds %s tokens", v.engine(profile.RoleDecode), grouped(float64(curve.MaxKVTokens)))
	itl.about, thpt.about = at, at
	return described(itl, thpt)
}

func (v *view) itlRegion() *region {
	if t := v.res.Inputs.SLA; t.E2ELatencyMillis == 0 && t.ITLMillis > 0 {
		return &region{name: fmt.Sprintf("ITL within %s ms", grouped(t.ITLMillis)), bound: t.ITLMillis}
	}
	return nil
}

// trials is ITL over load of the decode engines that were tried: those that the pick
// has beside what was predicted of them.
func (v *view) trials() *chart {
	c := &chart{name: "decode-tried", wide: true, title: "Decode engines that were tried", x: axis{label: "requests at once"}, y: axis{label: "ITL (ms)"}}
	decode := v.res.Pick.Role(profile.RoleDecode)
	n := 0
	for _, t := range v.res.Trials {
		if t.Role != profile.RoleDecode || t.State != profile.TrialMeasured {
			continue
		}
		picked := decode != nil && t.Parallelism == decode.Parallelism
		s := styled(n, t.Parallelism.Label()+", measured")
		if picked {
			s.name = t.Parallelism.Label() + ", measured, picked"
		}
		n++
		guess := series{name: t.Parallelism.Label() + ", predicted", ink: s.ink, line: true, dashed: true}
		for _, p := range t.Points {
			s.points = append(s.points, plotter.XY{X: float64(p.Concurrency), Y: p.ITLMillis})
			if picked && p.Predicted != nil && p.Predicted.ITLMillis > 0 {
				guess.points = append(guess.points, plotter.XY{X: float64(p.Concurrency), Y: p.Predicted.ITLMillis})
			}
		}
		c.series = append(c.series, s, guess)
	}
	c.region = v.itlRegion()
	c.about = "Each decode engine under the loads that it was given; a dashed line is what AIConfigurator predicted of the picked one"
	if all := described(c); len(all) > 0 {
		return all[0]
	}
	return nil
}

// engine is the parallelism of a role of the pick, in parentheses.
func (v *view) engine(name profile.RoleName) string {
	if r := v.res.Pick.Role(name); r != nil {
		return " (" + r.Parallelism.Label() + ")"
	}
	return ""
}

// styled is the n-th series of a chart.
func styled(n int, name string) series {
	glyphs := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}}
	return series{name: name, ink: seriesInks[n%len(seriesInks)], glyph: glyphs[n%len(glyphs)], line: true}
}

// described keeps the charts that show something, and says how much.
func described(charts ...*chart) []*chart {
	var out []*chart
	for _, c := range charts {
		if c.trim(); len(c.series) == 0 {
			continue
		}
		y := span{from: math.Inf(1)}
		for _, s := range c.series {
			for _, p := range s.points {
				y.add(p.Y)
			}
		}
		c.about += fmt.Sprintf(": %s from %s to %s.", c.y.label, number(y.from), number(y.to))
		out = append(out, c)
	}
	return out
}

func zip(xs, ys []float64) plotter.XYs {
	var out plotter.XYs
	for i := range min(len(xs), len(ys)) {
		out = append(out, plotter.XY{X: xs[i], Y: ys[i]})
	}
	return out
}
