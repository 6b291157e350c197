package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// result reads a result document of testdata. That of measured.json has predictions
// of the real AIConfigurator; what is measured there is made up from them.
func result(t *testing.T, name string) *profile.Result {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	res, err := profile.ParseResult(data)
	require.NoError(t, err)
	return res
}

func subject(t *testing.T, name string) Subject {
	t.Helper()
	return Subject{
		Result: result(t, name), Digest: "sha256:" + strings.Repeat("0", 64), Request: "qwen", File: "apps/qwen/dgdr.yaml",
		Files: []string{"profile_export.json (2.1 KiB)"}, Commands: []Command{{"dynamo-cmp explain apps/qwen", "Why it is as it is"}},
	}
}

// naive is a result of the memory fit alone.
func naive(t *testing.T) Subject {
	s := subject(t, "measured.json")
	r := s.Result
	r.Confidence, r.Reason, r.SLA, r.Trials, r.Curves, r.Alternatives = profile.Naive, "AIConfigurator has no tables for b300", profile.SLAOutcome{}, nil, nil, nil
	r.Inputs.Strategy = profile.StrategyRapid
	r.Pick.Expected, r.Pick.Predicted = nil, nil
	r.Provenance = profile.Provenance{Tool: "naive", ToolVersion: "1"}
	return s
}

func TestPages(t *testing.T) {
	selected := subject(t, "measured.json")
	selected.Selected = 2
	selected.Signed = &Signed{Key: "team.pub", User: "runner", Host: "profile-0", Run: "https://ci.example.com/7",
		Started: time.Date(2026, 3, 1, 1, 2, 3, 0, time.UTC), Completed: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)}
	selected.Referrers = []string{"sha256:" + strings.Repeat("1", 64) + " application/vnd.dev.sigstore.bundle.v0.3+json"}
	latency := subject(t, "measured.json")
	latency.File = "staging/qwen/dgdr.yaml"
	latency.Result.Inputs.SLA = profile.Targets{E2ELatencyMillis: 25_000}
	latency.Result.SLA = profile.SLAOutcome{Verified: true, E2ELatencyMarginMillis: new(float64)}
	*latency.Result.SLA.E2ELatencyMarginMillis = -1230.365
	latency.Result.Alternatives, latency.Result.Trials, latency.Result.Curves = nil, nil, nil
	selected.Result.Trials = nil
	for name, subjects := range map[string][]Subject{
		"measured.html": {subject(t, "measured.json")},
		"naive.html":    {naive(t)},
		"several.html":  {selected, latency},
		"hostile.html":  {hostile(t, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := Page(subjects)
			require.NoError(t, err)
			again, err := Page(subjects)
			require.NoError(t, err)
			require.Equal(t, string(page), string(again))
			wellFormed(t, page)
			file := filepath.Join("testdata", name)
			if *update {
				require.NoError(t, os.WriteFile(file, page, 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), string(page))
		})
	}
}

// wellFormed checks that nothing in the page runs or is fetched, and that names of
// elements are unique.
func wellFormed(t *testing.T, page []byte) {
	t.Helper()
	require.Contains(t, string(page), `content="default-src &#39;none&#39;; style-src &#39;sha256-`)
	dec := xml.NewDecoder(bytes.NewReader(bytes.ReplaceAll(page, []byte{1}, nil))) // XML has no such character
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	ids := map[string]bool{}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		require.NotContains(t, []string{"script", "img", "link", "iframe", "object", "image", "use", "foreignObject"}, start.Name.Local)
		for _, a := range start.Attr {
			require.NotContains(t, []string{"style", "src", "onload", "onerror"}, a.Name.Local)
			if a.Name.Local == "href" {
				require.Regexp(t, `^#r\d+$`, a.Value)
			}
			if a.Name.Local == "id" {
				require.False(t, ids[a.Value], a.Value)
				ids[a.Value] = true
			}
		}
	}
	require.NotEmpty(t, ids)
}

// hostile has markup and control characters in every text that a result may hold, and
// so many of its trials.
func hostile(t *testing.T, trials int) Subject {
	const bad = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\x01\"' ]]>"
	s := subject(t, "measured.json")
	s.Request, s.File = bad, bad
	r := s.Result
	r.Inputs.Model, r.Inputs.Revision, r.Reason, r.Warnings = bad, bad, bad, []string{bad}
	r.Inputs.Hardware.System, r.Pick.System, r.Pick.BackendVersion, r.Model.Architecture = bad, bad, bad, bad
	r.Provenance.ToolVersion, r.Provenance.Image, r.Provenance.Enumerator = bad, bad, bad
	r.Trials[0].State, r.Trials[0].Reason = profile.TrialFailed, bad
	r.Trials = r.Trials[:trials]
	s.Files, s.Referrers, s.Commands = []string{bad}, []string{bad}, []Command{{bad, bad}}
	s.Signed = &Signed{Key: bad, User: bad, Host: bad, Run: "javascript:alert(3)"}
	return s
}

func TestPageOfUnusualNumbers(t *testing.T) {
	s := subject(t, "measured.json")
	r := s.Result
	r.Pick.Expected.TokensPerSecondPerUser, r.Pick.Expected.TokensPerSecondPerGPU = math.Inf(1), math.NaN()
	r.Alternatives[0].Expected = nil
	r.Curves.Prefill.TTFTMillis[0] = math.NaN()
	r.Curves.Decode = profile.DecodeCurve{}
	page, err := Page([]Subject{s})
	require.NoError(t, err)
	require.NotContains(t, string(page), "<h3>Decode</h3>")
	require.NotRegexp(t, `(?:[xy]|d)="[^"]*(NaN|Inf)`, string(page))
}

func TestPlots(t *testing.T) {
	plots, err := Plots(hostile(t, 8))
	require.NoError(t, err)
	again, err := Plots(hostile(t, 8))
	require.NoError(t, err)
	require.Equal(t, plots, again)
	var names []string
	for _, p := range plots {
		names = append(names, p.Name)
		dec := xml.NewDecoder(bytes.NewReader(p.SVG))
		for _, err = dec.Token(); err == nil; _, err = dec.Token() {
		}
		require.ErrorIs(t, err, io.EOF, p.Name)
		require.NotRegexp(t, `style=|var\(|<script|#000000`, string(p.SVG))
		require.Regexp(t, `(?s)<svg [^>]*role="img".*<title id=.*<desc id=`, string(p.SVG))
		image, err := png.Decode(bytes.NewReader(p.PNG))
		require.NoError(t, err)
		size := regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`).FindSubmatch(p.SVG)
		require.Equal(t, fmt.Sprintf("%s %s", size[1], size[2]), fmt.Sprintf("%d %d", image.Bounds().Dx()/2, image.Bounds().Dy()/2))
	}
	require.Equal(t, []string{"pareto", "prefill-ttft", "prefill-throughput", "decode-itl", "decode-throughput", "decode-tried"}, names)

	plots, err = Plots(naive(t))
	require.NoError(t, err)
	require.Empty(t, plots)
}

func TestSelectedBeyondTheResult(t *testing.T) {
	s := subject(t, "measured.json")
	s.Selected = 9
	_, err := Page([]Subject{s})
	require.EqualError(t, err, "result "+s.Digest+": select in the lock: is 9, and the result ranks 5 configurations, 1 being the pick")
}

// Every text can be read in either scheme, on the paper and where a target is kept.
func TestInkContrast(t *testing.T) {
	grounds := []ink{inkPaper, inkRegion}
	for i := range inks {
		if i := ink(i); i != inkGrid && i != inkPaper && i != inkRegion {
			for _, g := range grounds {
				require.GreaterOrEqual(t, contrast(t, inks[i].light, inks[g].light), 4.5, "%s on %s", inks[i].name, inks[g].name)
				require.GreaterOrEqual(t, contrast(t, inks[i].dark, inks[g].dark), 4.5, "dark %s on %s", inks[i].name, inks[g].name)
			}
		}
	}
}

// contrast is that of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	luminance := func(hex string) float64 {
		var sum float64
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			var c int
			_, err := fmt.Sscanf(hex[1+2*i:3+2*i], "%02X", &c)
			require.NoError(t, err)
			v := float64(c) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
