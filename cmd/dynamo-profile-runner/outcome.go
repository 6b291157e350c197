package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// How a request came by its result.
const (
	statusHit      = "hit"
	statusProfiled = "profiled"
	statusImported = "imported"
	statusFailed   = "failed"
)

// outcome is what became of a job: a result in the store and the lock, or err.
type outcome struct {
	job    job
	status string
	digest cache.Digest
	result *profile.Result
	err    error

	refreshed []string     // Argo CD Applications that were told to look, as namespace/name
	outranked cache.Digest // the result that the key's tag went on to name instead of a new one
	notes     []string     // why Argo CD does not see the result
}

// entry pins the result of the outcome.
func (o outcome) entry() cache.LockEntry {
	return cache.LockEntry{
		Name:       o.job.req.Name,
		Key:        cmp.Or(o.job.asked, o.job.key),
		Estimate:   o.job.asked != "",
		Result:     o.digest,
		Confidence: o.result.Confidence,
		Profiler:   o.result.Provenance.Name(),
	}
}

// row is an outcome as both formats show it. Latencies are in milliseconds.
type row struct {
	Request              string             `json:"request"`
	Path                 string             `json:"path"`
	Status               string             `json:"status"`
	Mode                 profile.Mode       `json:"mode,omitempty"`
	Backend              profile.Backend    `json:"backend,omitempty"`
	GPUs                 int                `json:"gpus,omitempty"`
	TTFTMillis           float64            `json:"ttftMillis,omitempty"`
	ITLMillis            float64            `json:"itlMillis,omitempty"`
	TokensPerSecondByGPU float64            `json:"tokensPerSecondPerGpu,omitempty"`
	Confidence           profile.Confidence `json:"confidence,omitempty"`
	SLAMet               bool               `json:"slaMet"`
	Key                  profile.Key        `json:"key,omitempty"`
	Digest               cache.Digest       `json:"digest,omitempty"`
	Refreshed            []string           `json:"refreshedApplications,omitempty"`
	Warnings             []string           `json:"warnings,omitempty"`
	Error                string             `json:"error,omitempty"`
}

func newRow(o outcome) row {
	r := row{Path: o.job.rel, Status: o.status, Refreshed: o.refreshed}
	if req := o.job.req; req != nil {
		r.Request, r.Path, r.Key = req.Name, req.File, o.job.key
		for _, w := range req.Warnings {
			r.Warnings = append(r.Warnings, w.String())
		}
	}
	if o.err != nil {
		r.Status, r.Error = statusFailed, o.err.Error()
	}
	if res := o.result; res != nil {
		r.Mode, r.Backend, r.GPUs = res.Pick.Mode, res.Pick.Backend, res.Pick.TotalGPUs
		r.Confidence, r.SLAMet, r.Digest = res.Confidence, res.SLA.Met, o.digest
		if m := res.Pick.Expected; m != nil {
			r.TTFTMillis, r.ITLMillis, r.TokensPerSecondByGPU = m.TTFTMillis, m.ITLMillis, m.TokensPerSecondPerGPU
		}
		for _, w := range res.Warnings {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s: %s", r.Path, w))
		}
	}
	for _, note := range o.notes {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s: %s", r.Path, note))
	}
	return r
}

// printOutcomes prints every outcome as a table or JSON to stdout, and tells what to know and
// what went wrong.
func printOutcomes(stdout io.Writer, progress *progress, format string, outcomes []outcome) error {
	rows := make([]row, len(outcomes))
	for i, o := range outcomes {
		rows[i] = newRow(o)
	}
	if format == "json" {
		return printJSON(stdout, rows)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := writeTable(stdout, rows); err != nil {
		return err
	}
	for i, r := range rows {
		for _, app := range r.Refreshed {
			progress.note(requestOf(outcomes[i].job), fmt.Sprintf("%s: Application %s is refreshed", r.Path, app))
		}
		for _, w := range r.Warnings {
			progress.warn(requestOf(outcomes[i].job), w)
		}
	}
	for i, r := range rows {
		if r.Error != "" {
			progress.fail(requestOf(outcomes[i].job), r.Error)
		}
	}
	return nil
}

func writeTable(w io.Writer, rows []row) error {
	whole := bufio.NewWriter(w) // a tabwriter writes each cell by itself
	tw := tabwriter.NewWriter(whole, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "REQUEST\tRESULT\tMODE\tBACKEND\tGPUS\tTTFT ms\tITL ms\tTOKENS/S/GPU\tCONFIDENCE")
	for _, r := range rows {
		name := r.Request
		if name == "" {
			name = r.Path
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, r.Status, orDash(string(r.Mode)), orDash(string(r.Backend)),
			number(float64(r.GPUs), 0), number(r.TTFTMillis, 0), number(r.ITLMillis, 1), number(r.TokensPerSecondByGPU, 0), orDash(string(r.Confidence)))
	}
	return errors.Join(tw.Flush(), whole.Flush())
}

func number(v float64, decimals int) string {
	if v == 0 {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
