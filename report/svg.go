package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// size is of a drawing, in pixels of a page.
type size struct{ w, h vg.Length }

var (
	sizeWide   = size{720, 420} // alone in a row
	sizeHalf   = size{520, 340} // two in a row
	sizeNarrow = size{356, 330} // on a phone
)

func (c *chart) size() size {
	if c.wide {
		return sizeWide
	}
	return sizeHalf
}

// fileSize has room for a title.
func (c *chart) fileSize() size {
	return size{c.size().w, c.size().h + 32}
}

// pageSVG is the drawing for a page, twice: as large as there is room on a screen, and
// for a phone. A style sheet shows one of them.
func (c *chart) pageSVG(id string) template.HTML {
	wide := c.svg(c.size(), "", id+"-w", "wide", variable)
	narrow := c.svg(sizeNarrow, "", id+"-n", "narrow", variable)
	return template.HTML(wide + narrow)
}

// fileSVG is the drawing as a document.
func (c *chart) fileSVG(name string) []byte {
	title := clean(name + ": " + c.title)
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + c.svg(c.fileSize(), title, c.name, "", func(light string) string { return light }))
}

// filePNG is the drawing as an image, of two dots per pixel.
func (c *chart) filePNG(name string) ([]byte, error) {
	s := c.fileSize()
	canvas := vgimg.NewWith(vgimg.UseWH(s.w, s.h), vgimg.UseDPI(144))
	c.draw(draw.New(canvas), clean(name+": "+c.title))
	var out bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(&out)
	return out.Bytes(), err
}

var (
	svgHead  = regexp.MustCompile(`(?s)^.*?<svg[^>]*>\n`)
	svgStyle = regexp.MustCompile(`\s+style="([^"]*)"`)
)

// svg draws with gonum, and makes of its document one with a name and a description
// for those who do not see it, whose colours are what paint says, and whose styles are
// attributes: the policy of the page lets no element have a style.
func (c *chart) svg(s size, title, id, class string, paint func(light string) string) string {
	canvas := vgsvg.NewWith(vgsvg.UseWH(s.w, s.h))
	dc := draw.New(canvas)
	if title != "" {
		dc.FillPolygon(inkPaper.color(), []vg.Point{dc.Min, {X: dc.Max.X, Y: dc.Min.Y}, dc.Max, {X: dc.Min.X, Y: dc.Max.Y}})
	}
	c.draw(dc, title)
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		panic(fmt.Sprintf("drawing %s: %v", c.name, err)) // a bytes.Buffer takes everything
	}
	body := svgHead.ReplaceAllString(out.String(), "")
	body = svgStyle.ReplaceAllStringFunc(body, func(attr string) string {
		return attributes(svgStyle.FindStringSubmatch(attr)[1], paint)
	})
	if title == "" {
		title = c.title
	}
	if class != "" {
		class = ` class="` + class + `"`
	}
	// The fonts have the widths of the one that the drawing was laid out with.
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g"%s role="img" aria-labelledby="%s-t %s-d" font-family="Liberation Sans, Arial, Helvetica, sans-serif">
<title id="%s-t">%s</title>
<desc id="%s-d">%s</desc>
`, s.w, s.h, s.w, s.h, class, id, id, id, html.EscapeString(clean(title)), id, html.EscapeString(clean(c.about))) + body
}

// attributes are the declarations of a style as attributes of SVG.
func attributes(css string, paint func(string) string) string {
	var b strings.Builder
	for decl := range strings.SplitSeq(css, ";") {
		name, value, _ := strings.Cut(decl, ":")
		switch {
		case name == "font-family", name == "font-variant", name == "font-style", value == "normal":
			continue
		case strings.HasPrefix(value, "#"):
			value = paint(value)
		}
		fmt.Fprintf(&b, ` %s="%s"`, name, value)
	}
	return b.String()
}

// clean is text without what XML cannot hold.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, s)
}
