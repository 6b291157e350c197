package main

import (
	"bytes"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plots draws how each work grows, both axes in powers of ten.
func (r *report) plots(dir string) error {
	for _, t := range titles {
		for _, g := range r.growths(t.section) {
			data, err := g.plot()
			if err != nil {
				return err
			}
			if err := writeFiles(dir, map[string][]byte{filepath.Base(g.file()): data}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g growth) plot() ([]byte, error) {
	p := plot.New()
	p.BackgroundColor = color.White // a page may be dark
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = g.work, "size", "seconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for i, l := range g.lines {
		points := make(plotter.XYs, len(l.sizes))
		for k := range l.sizes {
			points[k] = plotter.XY{X: float64(l.sizes[k]), Y: l.times[k].Seconds()}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = plotutil.Color(i), vg.Points(1.5)
		dots.Color, dots.Shape = plotutil.Color(i), draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(l.tool, line, dots)
	}
	c := vgsvg.New(16*vg.Centimeter, 10*vg.Centimeter)
	p.Draw(draw.New(c))
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	return b.Bytes(), err
}
