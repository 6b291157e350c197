// Package report shows results to people: as one HTML page that needs nothing but
// itself, and as plots for a comment.
//
// It works on values only. The same results give the same bytes.
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Subject is a result to report, with what is known about it where it is used.
type Subject struct {
	Result *profile.Result // as it is stored: the pick of the profiler is number 1
	Digest string

	Request  string // that locks the result; empty where it was named by its digest
	File     string // of the request, below the root of the repository
	Selected int    // the configuration that the lock selects; 0 where it does not
	Estimate bool   // the lock has it until a measurement lands

	Files     []string // raw output of tools that is kept with the result
	Referrers []string // what refers to the result, as signatures do
	Signed    *Signed  // nil where no signature was verified
	Commands  []Command
}

// Signed is who vouches for a result, verified.
type Signed struct {
	Key                string // the file of the key
	User, Host, Run    string // from an attestation, where there is one
	Started, Completed time.Time
}

// Command is a command line that answers a question about the result.
type Command struct {
	Line, Does string
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string

	page = template.Must(template.New("page").Parse(pageHTML))
)

// Page is the HTML document about the subjects, in their order.
func Page(subjects []Subject) ([]byte, error) {
	style := palette() + pageCSS
	sum := sha256.Sum256([]byte(style))
	data := struct {
		Title, Policy string
		Style         template.CSS
		Sections      []*section
	}{
		// Nothing but this one style sheet: whatever a result holds, a browser runs none
		// of it, and fetches nothing.
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
		Style:  template.CSS(style),
	}
	for i, s := range subjects {
		sec, err := newSection(fmt.Sprintf("r%d", i+1), s)
		if err != nil {
			return nil, fmt.Errorf("result %s: %w", s.Digest, err)
		}
		data.Sections = append(data.Sections, sec)
	}
	data.Title = fmt.Sprintf("Profiling report: %d requests", len(subjects))
	if len(subjects) == 1 {
		data.Title = "Profiling report: " + data.Sections[0].Name
	}
	var out bytes.Buffer
	if err := page.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	return out.Bytes(), nil
}

// Plot is a drawing of a subject as files.
type Plot struct {
	Name string // pareto, prefill-ttft and so on
	SVG  []byte
	PNG  []byte
}

// Plots are the drawings of the page about the subject, for a comment: light, with a
// title and a background.
func Plots(s Subject) ([]Plot, error) {
	v, err := newView(s)
	if err != nil {
		return nil, fmt.Errorf("result %s: %w", s.Digest, err)
	}
	var plots []Plot
	for _, c := range v.charts() {
		p := Plot{Name: c.name, SVG: c.fileSVG(v.name())}
		if p.PNG, err = c.filePNG(v.name()); err != nil {
			return nil, fmt.Errorf("drawing %s: %w", c.name, err)
		}
		plots = append(plots, p)
	}
	return plots, nil
}
