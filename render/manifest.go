package render

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// manifest is one document of the output and where it comes from.
type manifest struct {
	apiVersion, kind, namespace, name string

	source  document
	node    *yaml.Node       // normal form, see yaml.go
	problem *profile.Problem // why the document has none
}

// passed is a document that goes through as it is.
func passed(d document) manifest {
	node, problem := normalize(d.Root)
	return manifest{
		apiVersion: d.APIVersion, kind: d.Kind, namespace: d.Namespace, name: d.Name,
		source: d, node: node, problem: problem,
	}
}

// generated is a document that stands for the DGDR d.
func generated(obj object, d document) manifest {
	meta, _ := obj["metadata"].(object)
	m := manifest{source: d, node: tree(obj)}
	m.apiVersion, _ = obj["apiVersion"].(string)
	m.kind, _ = obj["kind"].(string)
	m.namespace, _ = meta["namespace"].(string)
	m.name, _ = meta["name"].(string)
	return m
}

// position is how a message names the document.
func (m manifest) position() string {
	return fmt.Sprintf("%s:%d", m.source.File, m.source.Line)
}

// duplicates refuses two documents that are one object to the API server, and
// passes on what else is wrong with a document.
func duplicates(stream []manifest) profile.Problems {
	type identity struct{ apiVersion, kind, namespace, name string }
	first := map[identity]manifest{}
	var problems profile.Problems
	for _, m := range stream {
		at := profile.Problem{File: m.source.File, Line: m.source.Line}
		if m.problem != nil {
			at.Line, at.Message = m.problem.Line, m.problem.Message
			problems = append(problems, at)
			continue
		}
		if m.name == "" { // generateName: never the same object
			continue
		}
		id := identity{m.apiVersion, m.kind, m.namespace, m.name}
		if other, ok := first[id]; ok {
			at.Message = fmt.Sprintf("%s %q is already defined at %s", m.kind, m.name, other.position())
			problems = append(problems, at)
			continue
		}
		first[id] = m
	}
	return problems
}
