package render

import (
	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Source returns what documents of elsewhere, such as the items of a ResourceList,
// are as a directory of the checkout: with the defaults that hold in dir. The error
// is Problems and holds all of every document.
func (t *Tree) Source(dir string, docs []profile.Document) (*Source, error) {
	defaults, problems := t.defaults(dir)
	src := &Source{Dir: dir}
	problems = append(problems, src.settle(docs, &defaults)...)
	for _, d := range docs {
		problems = append(problems, src.take(d, defaults)...)
	}
	return src.valid(problems)
}

// take appends a document and returns what is wrong with it.
func (s *Source) take(d profile.Document, defaults profile.Defaults) profile.Problems {
	doc := document{Document: d}
	if d.IsConfig() {
		return nil
	}
	if !d.IsRequest() {
		s.documents = append(s.documents, doc)
		return doc.check()
	}
	req, err := profile.Parse(d, defaults)
	if err != nil {
		return problemsOf(d.File, err)
	}
	doc.request = req
	s.documents = append(s.documents, doc)
	s.Warnings = append(s.Warnings, req.Warnings...)
	s.Warnings = append(s.Warnings, planner.Warnings(req)...)
	s.Requests = append(s.Requests, req)
	return append(planner.Check(req), checkRelease(req)...)
}
