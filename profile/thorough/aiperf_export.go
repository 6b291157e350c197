package thorough

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The exports of AIPerf 0.13 that are read, and the version they were read of.
const (
	summaryFile   = "profile_export_aiperf.json"
	recordsFile   = "profile_export.jsonl"
	testedVersion = "0.13.0"
)

// Measurement is what AIPerf measured of a load. All requests succeeded, and every
// number is finite and positive.
type Measurement struct {
	TTFTMillis       float64 // mean
	MedianTTFTMillis float64
	MinTTFTMillis    float64
	MaxTTFTMillis    float64
	ITLMillis        float64 // mean over the requests
	TokensPerSecond  float64 // of output, all requests together
	// CacheReadPercent is the share of the prompts' tokens that the server took
	// from its cache; nil where the server does not say it.
	CacheReadPercent *float64
	Warnings         []string
	Version          string // of AIPerf
}

// PrefillTTFT is the time to first token of a PrefillLoad in milliseconds: the median
// or, for a burst, the longest without the decoding between its four waves, by four
// (Dynamo 1.5, profiler/utils/profile_prefill.py). That rule takes an engine to serve
// one request for each rank at a time, and gives next to nothing or less where it
// serves more; so it is not below the shortest, of a request that met no queue.
func PrefillTTFT(m Measurement, dp int) float64 {
	if dp <= 1 {
		return m.MedianTTFTMillis
	}
	between := m.ITLMillis * (prefillOSL - 1) * (burstWaves - 1)
	return max(m.MinTTFTMillis, (m.MaxTTFTMillis-between)/burstWaves)
}

// export is what is read of the summary.
type export struct {
	Version      string `json:"aiperf_version"`
	WasCancelled bool   `json:"was_cancelled"`
	IsComplete   *bool  `json:"is_complete"`
	statistics
	ErrorSummary []struct {
		Details struct {
			Code    int    `json:"code"`
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error_details"`
		Count int `json:"count"`
	} `json:"error_summary"`
	WarmUp *statistics `json:"warmup_metrics"`
}

// statistics are those of one phase.
type statistics struct {
	Requests      statistic `json:"request_count"`
	Errors        statistic `json:"error_request_count"` // absent without errors
	TTFT          statistic `json:"time_to_first_token"`
	ITL           statistic `json:"inter_token_latency"`
	Throughput    statistic `json:"output_token_throughput"`
	OSL           statistic `json:"output_sequence_length"`
	OSLMismatches statistic `json:"osl_mismatch_count"`
	CacheRead     statistic `json:"overall_usage_prompt_cache_read_pct"`
}

// statistic is of one metric; nil is absent.
type statistic struct {
	Avg *float64 `json:"avg"`
	P50 *float64 `json:"p50"`
	Min *float64 `json:"min"`
	Max *float64 `json:"max"`
}

// readExport reads what AIPerf wrote and refuses what is not a whole measurement.
func readExport(dir string, load Load) (Measurement, []profile.File, error) {
	summary, err := os.ReadFile(filepath.Join(dir, summaryFile))
	if err != nil {
		return Measurement{}, nil, fmt.Errorf("aiperf ended without an export: %v", err)
	}
	records, err := os.ReadFile(filepath.Join(dir, recordsFile))
	if err != nil {
		return Measurement{}, nil, fmt.Errorf("aiperf ended without records: %v", err)
	}
	m, err := parseExport(summary, load)
	if err != nil {
		return Measurement{}, nil, fmt.Errorf("%s: %w", summaryFile, err)
	}
	return m, []profile.File{
		{Name: load.Name() + ".json", MediaType: "application/json", Data: summary},
		{Name: load.Name() + ".jsonl", MediaType: "application/jsonl", Data: records},
	}, nil
}

func parseExport(data []byte, load Load) (Measurement, error) {
	var e export
	if err := json.Unmarshal(data, &e); err != nil {
		return Measurement{}, err
	}
	if err := e.check(load); err != nil {
		return Measurement{}, err
	}
	m := Measurement{Version: e.Version, CacheReadPercent: e.CacheRead.Avg}
	for _, n := range []struct {
		name string
		from *float64
		to   *float64
	}{
		{"time_to_first_token.avg", e.TTFT.Avg, &m.TTFTMillis},
		{"time_to_first_token.p50", e.TTFT.P50, &m.MedianTTFTMillis},
		{"time_to_first_token.min", e.TTFT.Min, &m.MinTTFTMillis},
		{"time_to_first_token.max", e.TTFT.Max, &m.MaxTTFTMillis},
		{"inter_token_latency.avg", e.ITL.Avg, &m.ITLMillis},
		{"output_token_throughput.avg", e.Throughput.Avg, &m.TokensPerSecond},
	} {
		if n.from == nil {
			return Measurement{}, fmt.Errorf("%s is missing", n.name)
		}
		if v := *n.from; v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
			return Measurement{}, fmt.Errorf("%s is %v", n.name, v)
		}
		*n.to = *n.from
	}
	m.Warnings = e.warnings(load)
	return m, nil
}

// check refuses a run that did not do the load. AIPerf ends with status 0 where
// only some requests failed.
func (e export) check(load Load) error {
	if e.WasCancelled || e.IsComplete != nil && !*e.IsComplete {
		return errors.New("the run was cancelled")
	}
	if n := e.Errors.value(); n > 0 || len(e.ErrorSummary) > 0 {
		why := ""
		if len(e.ErrorSummary) > 0 {
			first := e.ErrorSummary[0].Details
			why = fmt.Sprintf(": %d %s: %.200q", first.Code, first.Type, first.Message)
		}
		return fmt.Errorf("%.0f of %d requests failed%s", n, load.Requests, why)
	}
	if e.WarmUp != nil && e.WarmUp.Errors.value() > 0 {
		return fmt.Errorf("%.0f of %d warm-up requests failed", e.WarmUp.Errors.value(), load.WarmUp)
	}
	if n := e.Requests.value(); n != float64(load.Requests) {
		return fmt.Errorf("measured %.0f requests of %d", n, load.Requests)
	}
	return nil
}

// warnings are about answers of another length, prompts that were not computed
// though they should be, and the reverse.
func (e export) warnings(load Load) []string {
	var all []string
	if n := e.OSLMismatches.value(); n > 0 {
		all = append(all, fmt.Sprintf("%.0f of %d answers did not have %d tokens; they had %.1f on average", n, load.Requests, load.OSL, e.OSL.value()))
	}
	if e.CacheRead.Avg == nil {
		return all
	}
	cached, primed := *e.CacheRead.Avg, load.WarmUp >= load.Prompts
	switch {
	case primed && cached < 50:
		all = append(all, fmt.Sprintf("only %.0f%% of the prompts' tokens were cached: throughput and latency include prefill", cached))
	case !primed && cached > 10:
		all = append(all, fmt.Sprintf("%.0f%% of the prompts' tokens were cached: time to first token is too short", cached))
	}
	return all
}

func (s statistic) value() float64 {
	if s.Avg == nil {
		return 0
	}
	return *s.Avg
}
