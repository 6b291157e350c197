package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// linter collects the findings of one checkout.
type linter struct {
	tree  *render.Tree
	found []finding
}

// broken is a rule that the problem breaks.
func (l *linter) broken(rule string, p profile.Problem) { l.add(ruleNamed(rule), p) }

// warning is what a parser warns of.
func (l *linter) warning(p profile.Problem, otherwise string) {
	l.add(ruleOf(p, severityWarning, otherwise), p)
}

func (l *linter) add(r lintRule, p profile.Problem) {
	message, _, _ := strings.Cut(p.Message, "\n") // what follows is an example to copy
	remedy := strings.ReplaceAll(r.remedy, " DIR", " "+profile.OneLine(path.Dir(p.File)))
	l.found = append(l.found, finding{File: p.File, Line: p.Line, Severity: r.severity, Rule: r.id, Path: p.Path,
		Message: strings.TrimSuffix(message, ":"), Remedy: remedy})
}

// problems takes the error of a parser apart; file and rule are for what it does not
// say.
func (l *linter) problems(err error, file, rule string) {
	var ps profile.Problems
	switch {
	case err == nil:
		return
	case !errors.As(err, &ps):
		ps = profile.Problems{{File: file, Message: strings.TrimPrefix(err.Error(), file+": ")}}
	}
	for _, p := range ps {
		otherwise := rule
		switch {
		case path.Base(p.File) == "hardware.yaml":
			otherwise = "hardware-file"
		case isKustomization(path.Base(p.File)):
			otherwise = "kustomization"
		}
		l.add(ruleOf(p, severityError, otherwise), p)
	}
}

// lintPath finds the mistakes of a file, or of a directory and what is below it.
func lintPath(ctx context.Context, p string) ([]finding, error) {
	info, err := os.Stat(p)
	if err != nil {
		return nil, &codedError{exitInput, err}
	}
	dir := p
	if !info.IsDir() {
		dir = filepath.Dir(p)
	}
	tree, rel, err := openTree(dir)
	if err != nil {
		return nil, &codedError{exitInput, err}
	}
	defer tree.Close()
	l := &linter{tree: tree}
	if !info.IsDir() {
		only := path.Join(rel, filepath.Base(p))
		l.directory(ctx, rel)
		l.file(only)
		return slices.DeleteFunc(l.found, func(f finding) bool { return f.File != only }), nil
	}
	if err := l.below(ctx, rel); err != nil {
		return nil, &codedError{exitInput, fmt.Errorf("searching %s: %w", p, err)}
	}
	return l.found, nil
}

// below looks at every directory that is rendered, and at the files of other kinds.
func (l *linter) below(ctx context.Context, top string) error {
	var dirs []string
	used := map[string]bool{} // by another kustomization
	err := fs.WalkDir(os.DirFS(l.tree.Root()), top, func(p string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !d.IsDir() {
			l.file(p)
			return nil
		}
		if p != top && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		reach := l.tree.Reach(p)
		if reach != nil {
			for _, dir := range reach.Dirs {
				used[dir] = true
			}
			used[p] = used[p] || reach.Component
		}
		if reach != nil && reach.Requests || l.holds(p) {
			dirs = append(dirs, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if !used[dir] || dir == top || l.has(path.Join(dir, cache.LockFile)) {
			l.directory(ctx, dir)
		}
	}
	return nil
}

func (l *linter) has(name string) bool {
	_, err := l.tree.Read(name)
	return err == nil
}

// holds reports whether a directory has a lock, or a file that mentions a DGDR.
func (l *linter) holds(dir string) bool {
	if l.has(path.Join(dir, cache.LockFile)) {
		return true
	}
	for _, name := range l.manifests(dir) {
		if data, err := l.tree.Read(name); err == nil && bytes.Contains(data, []byte("DynamoGraphDeploymentRequest")) {
			return true
		}
	}
	return false
}

// manifests are the YAML and JSON files directly in a directory.
func (l *linter) manifests(dir string) []string {
	entries, err := fs.ReadDir(os.DirFS(l.tree.Root()), dir)
	if err != nil {
		return nil // the walk reports it
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(e.Name())) {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	return names
}

// file looks at a file that is nobody's document: a hardware file or a policy.
func (l *linter) file(name string) {
	isHardware := path.Base(name) == "hardware.yaml"
	if !isHardware && !slices.Contains([]string{".yaml", ".yml"}, path.Ext(name)) {
		return
	}
	data, err := l.tree.Read(name)
	if err != nil || !bytes.Contains(data, []byte("dynamo-cmp.github.io/")) {
		return
	}
	var head struct{ Kind string }
	if isHardware {
		_, err := profile.ParseHardware(name, data)
		l.problems(err, name, "hardware-file")
	} else if _ = yaml.Unmarshal(data, &head); head.Kind == policyKind {
		_, err := parsePolicy(name, data)
		l.problems(err, name, "policy")
	}
}

// directory looks at what a directory renders from.
func (l *linter) directory(ctx context.Context, dir string) {
	src, err := l.tree.Load(dir)
	complete := err == nil
	docs := l.documents(dir)
	if !complete {
		l.problems(err, dir, "request")
		src = l.valid(dir, docs)
	}
	for _, w := range src.Warnings {
		l.warning(w, "advice")
	}
	for _, req := range src.Requests {
		l.traps(req)
	}
	for _, d := range docs {
		if d.IsRequest() && d.APIVersion == "nvidia.com/v1alpha1" {
			l.broken("old-api-version", profile.Problem{File: d.File, Line: d.Line, Path: "apiVersion", Message: "v1alpha1 is deprecated"})
		}
	}
	if len(src.Requests) > 0 && src.Requests[0].Config != nil {
		l.configTraps(src.Requests[0].Config)
	}
	if k := l.kustomization(dir); k != nil && complete {
		l.dropped(docs, k, src.Requests)
	}
	l.locked(ctx, src, complete)
}

// documents are those of the files in a directory that can be read.
func (l *linter) documents(dir string) []profile.Document {
	var docs []profile.Document
	for _, name := range l.manifests(dir) {
		data, err := l.tree.Read(name)
		if err != nil {
			continue
		}
		found, err := profile.Documents(name, data)
		if err == nil {
			docs = append(docs, found...)
		}
	}
	return docs
}

// valid is a source of the DGDRs that have no problem, so that one mistake in a
// directory hides no other. A kustomization would change them, so it leaves none.
func (l *linter) valid(dir string, docs []profile.Document) *render.Source {
	src := &render.Source{Dir: dir}
	if l.kustomization(dir) != nil {
		return src
	}
	for _, d := range docs {
		if !d.IsRequest() {
			continue
		}
		if one, err := l.tree.Source(dir, []profile.Document{d}); err == nil {
			src.Requests = append(src.Requests, one.Requests...)
			src.Warnings = append(src.Warnings, one.Warnings...)
		}
	}
	return src
}

func isKustomization(name string) bool {
	return slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}, name)
}

// kustomization is the one that stands in a directory, nil without one.
func (l *linter) kustomization(dir string) []byte {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if data, err := l.tree.Read(path.Join(dir, name)); err == nil {
			return data
		}
	}
	return nil
}
