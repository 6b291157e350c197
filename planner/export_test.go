package planner

import (
	"slices"
	"strings"
)

// FieldLines are the fields that features.planner may have, in the order in which
// they are written: the path of each, then its spellings.
func FieldLines() []string { return fieldLines("", configFields()) }

func fieldLines(above string, fields []field) []string {
	var lines []string
	for _, f := range fields {
		spellings := append(slices.Clone(f.aliases), f.name)
		slices.Sort(spellings)
		lines = append(lines, above+f.name+" "+strings.Join(spellings, " "))
		lines = append(lines, fieldLines(above+f.name+".", f.fields)...)
	}
	return lines
}
