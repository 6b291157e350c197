package main

import "net/url"

// The parts of SARIF 2.1.0 that code scanning reads
// (docs.oasis-open.org/sarif/sarif/v2.1.0).
type (
	sarif struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string     `json:"id"`
		ShortDescription sarifText  `json:"shortDescription"`
		Help             *sarifText `json:"help,omitempty"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPlace `json:"physicalLocation"`
	}
	sarifPlace struct {
		ArtifactLocation sarifFile   `json:"artifactLocation"`
		Region           sarifRegion `json:"region"`
	}
	sarifFile struct {
		URI       string `json:"uri"` // relative to the repository root
		URIBaseID string `json:"uriBaseId"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
)

const sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"

// newSARIF reports violations at the lock entries that they are of.
func newSARIF(all []audited) sarif {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "dynamo-cmp verify", Version: version()}}, Results: []sarifResult{}}
	for _, rule := range rules() {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: rule[0], ShortDescription: sarifText{rule[1]}})
	}
	for _, row := range all {
		file := sarifFile{URI: (&url.URL{Path: row.File}).String(), URIBaseID: "%SRCROOT%"}
		for _, v := range row.Violations {
			run.Results = append(run.Results, sarifResult{RuleID: v.Rule, Level: "error", Message: sarifText{v.Message},
				Locations: []sarifLocation{{sarifPlace{file, sarifRegion{max(row.Line, 1)}}}}})
		}
	}
	return sarif{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}}
}
