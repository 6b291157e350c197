// Package report opens the pages of dynamo-profile-runner report in a real browser.
package report

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// contrast returns the texts of the page whose contrast with what is behind them is
// below 4.5 (WCAG 2.2, 1.4.3).
//
//go:embed contrast.js
var contrast string

// view is a way to look at a page.
type view struct {
	name, media, scheme string
	width               int64
}

var views = []view{
	{"light-1280", "screen", "light", 1280},
	{"light-400", "screen", "light", 400},
	{"dark-1280", "screen", "dark", 1280},
	{"dark-400", "screen", "dark", 400},
	// A sheet of A4 less its margins, on a machine that is set to dark.
	{"print-a4", "print", "dark", 688},
	{"print-1280", "print", "light", 1280},
	{"print-400", "print", "light", 400},
}

func TestReport(t *testing.T) {
	browser := open(t)
	axe := os.Getenv("DYNAMO_CMP_AXE")
	if axe == "" {
		t.Log("NOT CHECKED: accessibility, because DYNAMO_CMP_AXE does not name axe.min.js; to check it: make e2e-report")
	}
	shots := os.Getenv("DYNAMO_CMP_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	for name, file := range pages(t) {
		for _, v := range views {
			t.Run(name+"/"+v.name, func(t *testing.T) {
				tab := newTab(t, browser)
				tab.show(v, file)
				require.Empty(t, tab.heard(), "console, and requests other than for the page")
				require.Zero(t, run(tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)), "pixels that the page is too wide")
				require.Empty(t, run(tab, chromedp.Evaluate[[]string](contrast)))
				tab.shoot(filepath.Join(shots, name+"-"+v.name+".png"))
				if axe != "" {
					require.Empty(t, tab.violations(axe))
				}
			})
		}
		t.Run(name+"/pdf", func(t *testing.T) {
			tab := newTab(t, browser)
			tab.show(views[0], file)
			pdf := run(tab, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4), chromedp.PDFPreferCSSPageSize(), chromedp.PDFPrintBackground()))
			require.Equal(t, "%PDF-", string(pdf[:5]))
			require.NoError(t, os.WriteFile(filepath.Join(shots, name+".pdf"), pdf, 0o644))
		})
	}
}

// open starts the machine's Chromium.
func open(t *testing.T) context.Context {
	t.Helper()
	file := os.Getenv("DYNAMO_CMP_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && file == "" {
			file = found
		}
	}
	if file == "" {
		t.Skip("SKIPPED: no chromium on the PATH; to name one: DYNAMO_CMP_CHROMIUM")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(file), chromedp.NoSandbox)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// pages are those that the tests of the report package hold to the byte, and what the
// command makes of the example repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/dynamo-profile-runner")
	build.Dir = "../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	pages := map[string]string{}
	for _, app := range []string{"llama-70b", "qwen-small"} {
		pages[app] = filepath.Join(dir, app+".html")
		out, err := exec.Command(filepath.Join(dir, "dynamo-profile-runner"), "report", "../../examples/gitops-repo/apps/"+app, "-o", pages[app]).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	held, err := filepath.Glob("../../report/testdata/*.html")
	require.NoError(t, err)
	require.NotEmpty(t, held)
	for _, file := range held {
		abs, err := filepath.Abs(file)
		require.NoError(t, err)
		pages[strings.TrimSuffix(filepath.Base(file), ".html")] = abs
	}
	return pages
}

// tab is a tab of the browser that listens.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	noise []string
}

func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stop)
	tab := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			tab.hear("console: %s", e.Type)
		case *runtime.EventExceptionThrown:
			tab.hear("exception: %s", e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			tab.hear("log: %s: %s", e.Entry.Level, e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "file" || !strings.HasSuffix(u.Path, ".html") {
				tab.hear("request: %s", e.Request.URL)
			}
		}
	}))
	return tab
}

func (tab *tab) hear(format string, args ...any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.noise = append(tab.noise, fmt.Sprintf(format, args...))
}

func (tab *tab) heard() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.noise
}

// run does something in the tab, and returns what it returns.
func run[T any](tab *tab, action chromedp.Action[T]) T {
	tab.t.Helper()
	got, err := chromedp.Run(tab.ctx, action)
	require.NoError(tab.t, err)
	return got
}

// show opens a file as the view says.
func (tab *tab) show(v view, file string) {
	tab.t.Helper()
	media := emulation.SetEmulatedMediaParams{Media: v.media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}}
	run(tab, chromedp.Steps(chromedp.EmulateViewport(v.width, 900),
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
			return err
		}),
		chromedp.Navigate("file://"+file), chromedp.WaitReady("footer")))
}

func (tab *tab) shoot(file string) {
	tab.t.Helper()
	require.NoError(tab.t, os.WriteFile(file, run(tab, chromedp.FullScreenshot(100)), 0o644))
}

// violations are what axe finds against its rules, and best practices.
func (tab *tab) violations(axe string) []string {
	tab.t.Helper()
	script, err := os.ReadFile(axe)
	require.NoError(tab.t, err)
	run(tab, chromedp.Evaluate[chromedp.Void](string(script)))
	text := run(tab, chromedp.Evaluate[string](`axe.run(document).then(r => JSON.stringify({passes: r.passes.length, found: r.violations.map(
		v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.target.join(" ")).join(", "))}))`, chromedp.EvalAwaitPromise))
	var report struct {
		Passes int      `json:"passes"`
		Found  []string `json:"found"`
	}
	require.NoError(tab.t, json.Unmarshal([]byte(text), &report))
	require.Greater(tab.t, report.Passes, 15, "rules that axe applied")
	return report.Found
}
