package trust

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// The names of statements, of what they state, and of their envelope: in-toto
// attestation framework 1.1 (spec/v1/statement.md), cosign's pkg/types/predicate.go,
// SLSA 1.0 (spec/v1.0/provenance).
const (
	statementPrefix     = "https://in-toto.io/Statement/"
	statementType       = statementPrefix + "v1"
	payloadType         = "application/vnd.in-toto+json"
	signPredicate       = "https://sigstore.dev/cosign/sign/v1"
	provenancePredicate = "https://slsa.dev/provenance/v1"
	buildType           = "https://dynamo-cmp.github.io/profile/v1"
)

// statement is an in-toto statement about results.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

func newSubject(d cache.Digest) subject {
	return subject{Digest: map[string]string{"sha256": strings.TrimPrefix(string(d), "sha256:")}}
}

func (s *statement) about(d cache.Digest) bool {
	for _, sub := range s.Subject {
		if "sha256:"+sub.Digest["sha256"] == string(d) {
			return true
		}
	}
	return false
}

// Provenance says who made a result, where, when and with what, as SLSA provenance.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what was profiled and with what.
type BuildDefinition struct {
	BuildType            string       `json:"buildType"`
	ExternalParameters   any          `json:"externalParameters"`
	InternalParameters   any          `json:"internalParameters"`
	ResolvedDependencies []Dependency `json:"resolvedDependencies,omitempty"`
}

// Dependency is a tool or an image that was used: a package URL with its version,
// or an image with its digest where the reference has one.
type Dependency struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest,omitempty"`
}

// RunDetails says who ran the profiler and when.
type RunDetails struct {
	Builder  Builder     `json:"builder"`
	Metadata RunMetadata `json:"metadata"`
}

// Builder is the runner: where it runs and its version.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// RunMetadata is one run. Times are in UTC, to the second.
type RunMetadata struct {
	InvocationID string    `json:"invocationId,omitempty"`
	StartedOn    time.Time `json:"startedOn"`
	FinishedOn   time.Time `json:"finishedOn"`
}

func (p *Provenance) finished() time.Time {
	return p.RunDetails.Metadata.FinishedOn
}
