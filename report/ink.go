package report

import (
	"fmt"
	"image/color"
	"strings"
)

// ink is a colour by what it is for. Drawings are made in the light ones; in a page
// each becomes a CSS variable, which has another value in the dark.
type ink int

const (
	inkText ink = iota
	inkMuted
	inkGrid
	inkPaper
	inkRegion
	inkBound
	inkBlue
	inkOrange
	inkTeal
	inkPurple
	inkRose
	inkOlive
)

// inks are all colours. Text and lines have a contrast of at least 4.5 with the paper
// and with the region of either scheme. No two light ones are equal, and none is pure
// black, which SVG leaves out.
var inks = []struct{ name, light, dark string }{
	inkText:   {"text", "#171C24", "#E9EDF3"},
	inkMuted:  {"muted", "#505A6A", "#A9B3C1"},
	inkGrid:   {"grid", "#DFE3E9", "#313843"},
	inkPaper:  {"paper", "#FFFFFF", "#14181E"},
	inkRegion: {"region", "#E8F4EC", "#17291F"},
	inkBound:  {"bound", "#1B6B3A", "#6CCB8F"},
	inkBlue:   {"blue", "#1558C0", "#7DB4FF"},
	inkOrange: {"orange", "#A64B00", "#FFB070"},
	inkTeal:   {"teal", "#0B6E75", "#5CCFD6"},
	inkPurple: {"purple", "#6B3FA8", "#C5A3FF"},
	inkRose:   {"rose", "#A81F56", "#FF9DC0"},
	inkOlive:  {"olive", "#5F6300", "#CDD155"},
}

// seriesInks are those of series in their order.
var seriesInks = []ink{inkBlue, inkOrange, inkTeal, inkPurple, inkRose, inkOlive}

func (i ink) color() color.Color {
	c := color.RGBA{A: 255}
	if _, err := fmt.Sscanf(inks[i].light, "#%02X%02X%02X", &c.R, &c.G, &c.B); err != nil {
		panic(fmt.Sprintf("ink %s: %v", inks[i].name, err)) // a constant of ours
	}
	return c
}

// variable is the CSS value of a light colour.
func variable(light string) string {
	for _, i := range inks {
		if i.light == light {
			return "var(--" + i.name + ")"
		}
	}
	return light
}

// palette declares the variables. Paper is white: dark is for screens.
func palette() string {
	var light, dark strings.Builder
	for _, i := range inks {
		fmt.Fprintf(&light, "--%s:%s;", i.name, i.light)
		fmt.Fprintf(&dark, "--%s:%s;", i.name, i.dark)
	}
	return fmt.Sprintf(":root{color-scheme:light;%s}\n@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark;%s}}\n", &light, &dark)
}
