package profile

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestResultRoundTrip: a result is the same bytes after any number of readings.
func TestResultRoundTrip(t *testing.T) {
	first, err := fullResult().Encode()
	require.NoError(t, err)
	res, err := ParseResult(first)
	require.NoError(t, err)
	require.Equal(t, fullResult(), res)
	second, err := res.Encode()
	require.NoError(t, err)
	require.Equal(t, string(first), string(second))
}

func TestResultChecks(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Result)
		want   string
	}{
		{"an unknown schema", func(r *Result) { r.Schema = "v9" }, `schema is "v9"`},
		{"inputs of another schema", func(r *Result) { r.Inputs.Schema = 9 }, "inputs have schema 9"},
		{"an unknown confidence", func(r *Result) { r.Confidence = "sure" }, `unknown confidence "sure"`},
		{"a source of a result that was made here", func(r *Result) { r.Provenance.Source = SourceDGDR }, `confidence simulated does not go with source "dgdr-output"`},
		{"an imported result without a source", func(r *Result) { r.Confidence = Imported }, `confidence imported does not go with source ""`},
		{"an unverified result says the SLA is met", func(r *Result) { r.SLA.Verified = false }, "an unverified SLA cannot be met"},
		{"a naive result that verifies", func(r *Result) { r.Confidence = Naive }, "a naive result predicts nothing, so it cannot verify the SLA"},
		{"a naive result that predicts", func(r *Result) { r.Confidence, r.SLA = Naive, SLAOutcome{} }, "a naive result predicts nothing, so it has no expected metrics"},
		{"margins without a prediction", func(r *Result) { r.SLA.Verified, r.SLA.Met = false, false }, "an unverified SLA has no margins"},
		{"measured by a simulator", func(r *Result) { r.Confidence = Measured }, `confidence measured contradicts tool "aiconfigurator": aiperf alone measures`},
		{"simulated by a benchmark", func(r *Result) { r.Provenance.Tool = "aiperf" }, `confidence simulated contradicts tool "aiperf": aiperf alone measures`},
		{"measured in rapid", func(r *Result) {
			r.Confidence, r.Provenance.Tool, r.Inputs.Strategy = Measured, "aiperf", StrategyRapid
		},
			"strategy rapid measures nothing, so the result cannot be measured"},
		{"an unknown mode", func(r *Result) { r.Pick.Mode = "both" }, `pick: unknown mode "both"`},
		{"backend auto picked", func(r *Result) { r.Pick.Backend = BackendAuto }, `pick: unknown backend "auto"`},
		{"no system", func(r *Result) { r.Pick.System = "" }, "pick: no system"},
		{"a role missing", func(r *Result) { r.Pick.Roles = r.Pick.Roles[:1] }, "pick: roles of mode disagg are [prefill], not [prefill decode]"},
		{"a wrong sum", func(r *Result) { r.Pick.TotalGPUs = 9 }, "pick: roles take 4 GPUs, not 9"},
		{"no tensor parallelism", func(r *Result) { r.Pick.Roles[0].Parallelism.TP = 0 }, "must be at least 1"},
		{"a broken alternative", func(r *Result) { r.Alternatives[0].TotalGPUs = 9 }, "alternative 1: roles take 4 GPUs"},
		{"a curve of unequal arrays", func(r *Result) { r.Curves.Decode.ITLMillis = nil }, "curves: decode arrays have lengths [1 1 0 1]"},
		{"a number that is none", func(r *Result) { r.Pick.Expected.TTFTMillis = math.NaN() }, "unsupported value: NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := fullResult()
			c.change(res)
			_, err := res.Encode()
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestParseResultIsStrict(t *testing.T) {
	data, err := fullResult().Encode()
	require.NoError(t, err)
	_, err = ParseResult([]byte(strings.Replace(string(data), `"reason"`, `"raison"`, 1)))
	require.EqualError(t, err, `decoding result: json: unknown field "raison"`)
	_, err = ParseResult(append(data, '}'))
	require.EqualError(t, err, "decoding result: more than one JSON value")
	_, err = ParseResult(nil)
	require.EqualError(t, err, "decoding result: EOF")
}
