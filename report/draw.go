package report

import (
	"math"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sizes in pixels of a page, which are points of a drawing.
const (
	textSize = 12
	lineStep = 18 // of a legend
	swatch   = 22
	gap      = 16
)

var (
	boundStyle = draw.LineStyle{Color: inkBound.color(), Width: 1.5, Dashes: []vg.Length{6, 3}}
	ruleStyle  = draw.LineStyle{Color: inkMuted.color(), Width: 1, Dashes: []vg.Length{2, 3}}
)

func style(i ink, size vg.Length, bold bool) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return text.Style{Color: i.color(), Font: f, Handler: plot.DefaultTextHandler, YAlign: draw.YCenter}
}

// draw draws the chart on all of the canvas, under a title where there is one.
func (c *chart) draw(dc draw.Canvas, title string) {
	top := dc.Max.Y
	if title != "" {
		s := style(inkText, textSize+2, true)
		dc.FillText(s, vg.Point{X: dc.Min.X + 8, Y: top - lineStep}, fit(s, title, dc.Size().X-16))
		top -= lineStep + 14
	}
	top = c.legend(dc, top)
	body := dc
	body.Max.Y = top - 4
	body.Min.X, body.Min.Y, body.Max.X = body.Min.X+2, body.Min.Y+2, body.Max.X-10
	c.plot(dc.Size().X < 480).Draw(body)
}

// fit cuts a text to a width.
func fit(s text.Style, txt string, width vg.Length) string {
	runes := []rune(txt)
	for n := len(runes); n > 0; n-- {
		cut := txt
		if n < len(runes) {
			cut = string(runes[:n]) + "…"
		}
		if s.Width(cut) <= width {
			return cut
		}
	}
	return ""
}

// entry is a line of a legend, with what it draws from x to x+swatch.
type entry struct {
	name string
	draw func(dc draw.Canvas, at vg.Point)
}

func (c *chart) entries() []entry {
	var out []entry
	for _, s := range c.series {
		out = append(out, entry{s.name, func(dc draw.Canvas, at vg.Point) {
			if s.line {
				dc.StrokeLine2(s.lineStyle(), at.X, at.Y, at.X+swatch, at.Y)
			}
			if s.glyph != nil {
				dc.DrawGlyphNoClip(s.glyphStyle(), vg.Point{X: at.X + swatch/2, Y: at.Y})
			}
		}})
	}
	for _, m := range c.marks {
		if m.name != "" {
			out = append(out, entry{m.name, func(dc draw.Canvas, at vg.Point) { m.ring(dc, vg.Point{X: at.X + swatch/2, Y: at.Y}) }})
		}
	}
	if r := c.region; r != nil {
		out = append(out, entry{r.name, func(dc draw.Canvas, at vg.Point) {
			dc.FillPolygon(inkRegion.color(), []vg.Point{{X: at.X, Y: at.Y - 6}, {X: at.X + swatch, Y: at.Y - 6}, {X: at.X + swatch, Y: at.Y + 6}, {X: at.X, Y: at.Y + 6}})
			dc.StrokeLine2(boundStyle, at.X, at.Y-6, at.X+swatch, at.Y-6)
		}})
	}
	for _, r := range c.rules {
		out = append(out, entry{r.name, func(dc draw.Canvas, at vg.Point) {
			dc.StrokeLine2(ruleStyle, at.X+swatch/2, at.Y-7, at.X+swatch/2, at.Y+7)
		}})
	}
	return out
}

// legend draws the entries in rows from the top, and returns where they end.
func (c *chart) legend(dc draw.Canvas, top vg.Length) vg.Length {
	s := style(inkText, textSize, false)
	left := dc.Min.X + 8
	x, y := left, top-lineStep/2-2
	for _, e := range c.entries() {
		width := swatch + 6 + s.Width(e.name)
		if x > left && x+width > dc.Max.X-8 {
			x, y = left, y-lineStep
		}
		e.draw(dc, vg.Point{X: x, Y: y})
		dc.FillText(s, vg.Point{X: x + swatch + 6, Y: y}, fit(s, e.name, dc.Max.X-8-x-swatch-6))
		x += width + gap
	}
	return y - lineStep/2
}

func (s series) lineStyle() draw.LineStyle {
	l := draw.LineStyle{Color: s.ink.color(), Width: 1.75}
	if s.dashed {
		l.Dashes = []vg.Length{5, 4}
	}
	return l
}

func (s series) glyphStyle() draw.GlyphStyle {
	return draw.GlyphStyle{Color: s.ink.color(), Radius: 3.2, Shape: s.glyph}
}

// plot is the part with the axes.
func (c *chart) plot(narrow bool) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	across, up := ticks(8), ticks(5)
	if narrow {
		across = 4
	}
	x, y := c.spans()
	fit := func(a *plot.Axis, of axis, drawn span, n ticks) {
		a.Label.Text = of.label
		a.Label.TextStyle.Font, a.Label.TextStyle.Color = style(inkText, textSize, false).Font, inkText.color()
		a.Tick.Label.Font, a.Tick.Label.Color = style(inkMuted, textSize, false).Font, inkMuted.color()
		a.Tick.LineStyle.Color, a.LineStyle.Color = inkMuted.color(), inkMuted.color()
		a.Tick.Length, a.Padding, a.Label.Padding = 4, 0, 4
		a.Tick.Marker = n
		a.Min, a.Max = of.ends(drawn, n)
	}
	fit(&p.X, c.x, x, across)
	fit(&p.Y, c.y, y, up)
	if c.region != nil {
		p.Add(shade{*c.region})
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = inkGrid.color(), inkGrid.color()
	grid.Vertical.Width, grid.Horizontal.Width = 1, 1
	p.Add(grid, content{c})
	return p
}

// content draws rules, series and marks.
type content struct{ *chart }

// Plot implements plot.Plotter.
func (c content) Plot(dc draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&dc)
	for _, r := range c.rules {
		dc.StrokeLine2(ruleStyle, toX(r.x), dc.Min.Y, toX(r.x), dc.Max.Y)
	}
	for _, s := range c.series {
		var points []vg.Point
		for _, pt := range s.points {
			points = append(points, vg.Point{X: toX(pt.X), Y: toY(pt.Y)})
		}
		if s.line && len(points) > 1 {
			dc.StrokeLines(s.lineStyle(), points)
		}
		for _, pt := range points {
			if s.glyph != nil {
				dc.DrawGlyphNoClip(s.glyphStyle(), pt)
			}
		}
	}
	var taken []vg.Rectangle
	for _, m := range c.marks {
		at := vg.Point{X: toX(m.at.X), Y: toY(m.at.Y)}
		m.ring(dc, at)
		taken = m.write(dc, at, taken)
	}
}

// ring is drawn around what is marked.
func (m mark) ring(dc draw.Canvas, at vg.Point) {
	line := draw.LineStyle{Color: inkText.color(), Width: 1}
	radius := vg.Length(4.5)
	if m.main || m.box {
		line.Width, radius = 2, 7
	}
	dc.SetLineStyle(line)
	var path vg.Path
	if m.box {
		path.Move(at.Add(vg.Point{X: -radius, Y: -radius}))
		path.Line(at.Add(vg.Point{X: radius, Y: -radius}))
		path.Line(at.Add(vg.Point{X: radius, Y: radius}))
		path.Line(at.Add(vg.Point{X: -radius, Y: radius}))
	} else {
		path.Move(at.Add(vg.Point{X: radius}))
		path.Arc(at, radius, 0, 2*math.Pi)
	}
	path.Close()
	dc.Stroke(path)
}

// write writes the label beside the point, where it covers no other label.
func (m mark) write(dc draw.Canvas, at vg.Point, taken []vg.Rectangle) []vg.Rectangle {
	s := style(inkText, textSize, m.main || m.box)
	w, h := s.Width(m.label), vg.Length(textSize)
	places := []vg.Point{{X: -8 - w}, {X: 8}}
	if m.main || m.box {
		places = []vg.Point{{X: 11, Y: 10}, {X: -11 - w, Y: 10}, {X: 11, Y: -10}, {X: -11 - w, Y: -10}}
	}
	for _, place := range places {
		from := vg.Point{X: at.X + place.X, Y: at.Y + place.Y}
		box := vg.Rectangle{Min: vg.Point{X: from.X, Y: from.Y - h/2}, Max: vg.Point{X: from.X + w, Y: from.Y + h/2}}
		if box.Min.X < dc.Min.X+2 || box.Max.X > dc.Max.X || box.Min.Y < dc.Min.Y || box.Max.Y > dc.Max.Y || overlaps(box, taken) {
			continue
		}
		dc.FillText(s, from, m.label)
		return append(taken, box)
	}
	return taken
}

func overlaps(box vg.Rectangle, taken []vg.Rectangle) bool {
	for _, t := range taken {
		if box.Min.X < t.Max.X && t.Min.X < box.Max.X && box.Min.Y < t.Max.Y && t.Min.Y < box.Max.Y {
			return true
		}
	}
	return false
}
