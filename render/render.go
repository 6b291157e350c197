// Package render turns a directory that holds DynamoGraphDeploymentRequests
// (DGDRs) and their profiling results into the final manifest stream.
//
// A Tree is a confined view of a checkout, a Source is what one directory of it
// holds or its kustomization builds, and Build prints the Source with every DGDR
// replaced by the manifests of its result. Build is all or nothing and a function
// of its arguments: no clock, no randomness, no cluster.
package render

import (
	"context"
	"errors"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Answer is the result that a request renders with, and the digest it is
// stored under.
type Answer struct {
	Result *profile.Result // with the configuration to render as its pick
	Digest string
	// Selected is the rank that the configuration has in the stored result, where a
	// lock chose it; else 0.
	Selected int
}

// Lookup finds the answer to a request: by the lock, by key, or not at all.
type Lookup func(ctx context.Context, req *profile.Request) (Answer, error)

// object is a Kubernetes object as a JSON tree: objects, []any, string, int64,
// float64, bool.
type object = map[string]any

// Build prints the manifest stream of a source: every document in its place,
// every DGDR as what is generated from it. What is worth saying and stops
// nothing is added to the warnings of the source.
func Build(ctx context.Context, src *Source, lookup Lookup) ([]byte, error) {
	answers, err := answer(ctx, src, lookup)
	if err != nil {
		return nil, err
	}
	stream, err := src.manifests(answers)
	if err != nil {
		return nil, err
	}
	if problems := src.lacking(stream); len(problems) > 0 {
		return nil, problems
	}
	if len(stream) == 0 {
		// Empty output would tell Argo CD to prune everything it deployed before.
		return nil, profile.Problems{{File: src.Dir, Message: "nothing to render: the directory holds no Kubernetes manifest"}}
	}
	return encode(stream)
}

// manifests are the documents of the source with those generated from its DGDRs.
func (src *Source) manifests(answers map[*profile.Request]Answer) ([]manifest, error) {
	if src.kustomized != nil {
		return src.kustomized.build(src, answers)
	}
	var stream []manifest
	var problems profile.Problems
	shared := commons{}
	for _, doc := range src.documents {
		if doc.request == nil {
			stream = append(stream, passed(doc))
			continue
		}
		objs, warnings, err := assemble(doc.request, answers[doc.request], src.DGDVersion)
		src.Warnings = append(src.Warnings, warnings...)
		for _, w := range answers[doc.request].Result.Warnings {
			src.Warnings = append(src.Warnings, doc.request.Problem("", w))
		}
		if err != nil {
			problems = append(problems, doc.problems(err)...)
			continue
		}
		for _, obj := range shared.first("", objs) {
			stream = append(stream, generated(obj, doc))
		}
	}
	problems = append(problems, duplicates(stream)...)
	if len(problems) > 0 {
		return nil, problems
	}
	return stream, nil
}

// answer looks every request up first, so that all that are missing are
// reported at once.
func answer(ctx context.Context, src *Source, lookup Lookup) (map[*profile.Request]Answer, error) {
	answers := make(map[*profile.Request]Answer, len(src.Requests))
	var errs []error
	for _, req := range src.Requests {
		ans, err := lookup(ctx, req)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		answers[req] = ans
	}
	return answers, errors.Join(errs...)
}

// Manifests generates the documents that a request and its answer stand for:
// the ConfigMaps of the planner, then the DynamoGraphDeployment. The warnings
// stop nothing. The error is Problems where a field of the request is at fault.
func Manifests(req *profile.Request, ans Answer) ([]map[string]any, profile.Problems, error) {
	return assemble(req, ans, "")
}
