package report

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is a drawing: what it shows, not how large.
type chart struct {
	name  string // of its files
	title string
	about string // what it shows, in words
	wide  bool   // on a page it stands alone

	x, y   axis
	region *region
	rules  []rule
	series []series
	marks  []mark
}

type axis struct {
	label string
	most  float64 // where it ends; 0 for a tick above what is drawn
	close bool    // it may begin above zero, where everything is in its upper half
}

// region is where a target is kept: all of the chart on one side of the bound.
type region struct {
	name  string
	onX   bool // the bound is a value of x, else one of y
	above bool // kept by what is more than the bound
	bound float64
}

// rule is a vertical line at a value of x.
type rule struct {
	name string
	x    float64
}

// series is points of one kind.
type series struct {
	name   string
	ink    ink
	glyph  draw.GlyphDrawer // nil for a line without points
	line   bool
	dashed bool
	points plotter.XYs
}

// mark is a point that is meant by itself.
type mark struct {
	label string
	name  string // in the legend; empty for none
	main  bool
	box   bool
	at    plotter.XY
}

// finite keeps the points that can be drawn.
func finite(points plotter.XYs) plotter.XYs {
	var out plotter.XYs
	for _, p := range points {
		if !math.IsNaN(p.X+p.Y) && !math.IsInf(p.X+p.Y, 0) && math.Abs(p.X) < 1e12 && math.Abs(p.Y) < 1e12 {
			out = append(out, p)
		}
	}
	return out
}

// trim takes out what cannot be drawn, and what is empty then.
func (c *chart) trim() {
	var kept []series
	for _, s := range c.series {
		if s.points = finite(s.points); len(s.points) > 0 {
			kept = append(kept, s)
		}
	}
	c.series = kept
	var marks []mark
	for _, m := range c.marks {
		if len(finite(plotter.XYs{m.at})) > 0 {
			marks = append(marks, m)
		}
	}
	c.marks = marks
}

// span is what is drawn of an axis.
type span struct{ from, to float64 }

func (s *span) add(values ...float64) {
	for _, v := range values {
		s.from, s.to = min(s.from, v), max(s.to, v)
	}
}

// spans are those of both axes. A bound that is far above the points is not drawn.
func (c *chart) spans() (x, y span) {
	x, y = span{from: math.Inf(1)}, span{from: math.Inf(1)}
	for _, s := range c.series {
		for _, p := range s.points {
			x.add(p.X)
			y.add(p.Y)
		}
	}
	for _, m := range c.marks {
		x.add(m.at.X)
		y.add(m.at.Y)
	}
	for _, r := range c.rules {
		x.add(r.x)
	}
	const far = 2
	if r := c.region; r != nil && r.onX && r.bound < far*x.to {
		x.add(r.bound)
	} else if r != nil && !r.onX && r.bound < far*y.to {
		y.add(r.bound)
	}
	return x, y
}

// ends are round numbers around what is drawn, n ticks apart.
func (a axis) ends(drawn span, n ticks) (from, to float64) {
	if a.close && drawn.from > drawn.to/2 {
		step := n.step(drawn.to - drawn.from/2)
		from = step * math.Floor(0.9*drawn.from/step)
	}
	step := n.step(drawn.to - from)
	to = from + step*math.Ceil((drawn.to-from)*1.03/step-1e-9)
	if a.most > 0 {
		to = a.most
	}
	return from, to
}

// ticks are about so many round numbers.
type ticks int

// Ticks implements plot.Ticker.
func (n ticks) Ticks(from, to float64) []plot.Tick {
	step := n.step(to - from)
	var out []plot.Tick
	for i := math.Ceil(from/step-1e-9) + 0; i*step <= to+1e-9*step; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: grouped(i * step)})
	}
	return out
}

func (n ticks) step(length float64) float64 {
	if !(length > 0) {
		return 1
	}
	rough := length / float64(n)
	size := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*size >= rough {
			return m * size
		}
	}
	return 10 * size
}

// grouped is a number with up to two decimals, and its thousands apart.
func grouped(v float64) string {
	text := strconv.FormatFloat(v, 'f', 2, 64)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

// shade fills the region of a chart and draws its bound.
type shade struct{ region }

// Plot implements plot.Plotter.
func (s shade) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	area := c.Rectangle
	line := []vg.Point{area.Min, area.Max}
	inside := false
	if s.onX {
		at := toX(s.bound)
		inside = at > area.Min.X && at < area.Max.X
		at = min(max(at, area.Min.X), area.Max.X)
		line[0].X, line[1].X = at, at
		area.Min.X, area.Max.X = split(area.Min.X, area.Max.X, at, s.above)
	} else {
		at := toY(s.bound)
		inside = at > area.Min.Y && at < area.Max.Y
		at = min(max(at, area.Min.Y), area.Max.Y)
		line[0].Y, line[1].Y = at, at
		area.Min.Y, area.Max.Y = split(area.Min.Y, area.Max.Y, at, s.above)
	}
	c.FillPolygon(inkRegion.color(), []vg.Point{area.Min, {X: area.Max.X, Y: area.Min.Y}, area.Max, {X: area.Min.X, Y: area.Max.Y}})
	if inside {
		c.StrokeLines(boundStyle, line)
	}
}

func split(from, to, at vg.Length, above bool) (vg.Length, vg.Length) {
	if above {
		return at, to
	}
	return from, at
}
