package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// hardwareFile is the name of the file that says what a DGDR may leave out.
const hardwareFile = "hardware.yaml"

// Source is what one directory of a checkout holds.
type Source struct {
	Dir      string             // relative to the root, with slashes
	Requests []*profile.Request // in the order of files and documents
	Warnings profile.Problems   // worth saying, stopping nothing
	// DGDVersion is the version that deployments are rendered in, one of
	// DGDVersions; empty for the first.
	DGDVersion string

	documents []document
	config    *profile.Config
	hardware  string // the file that says what the cluster has
	// capabilities are nil where that file does not list them.
	capabilities []string
	bytes        int         // of all files
	kustomized   *kustomized // instead of documents, where a kustomization stands
}

// document is one YAML document of the directory, a request where it is a DGDR.
type document struct {
	profile.Document
	request *profile.Request
}

// Load reads what dir renders from: what its kustomization names, where it has
// one, else every YAML and JSON file directly in it, hidden ones excepted. The
// Requests are the DGDRs as kustomizations leave them, the Warnings theirs. The
// error is Problems and holds all of every file, in the order of files and lines.
func (t *Tree) Load(dir string) (*Source, error) {
	names, err := t.list(dir)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(names, isKustomization) {
		return t.loadKustomized(dir)
	}
	defaults, problems := t.defaults(dir)
	src := &Source{Dir: dir}
	var docs []profile.Document
	unread := map[string]profile.Problems{}
	for _, name := range names {
		if !isManifestFile(name) {
			continue
		}
		if src.bytes > maxTotalBytes {
			return nil, profile.Problems{{File: dir, Message: fmt.Sprintf("holds more than %d MiB of manifests", maxTotalBytes>>20)}}
		}
		found, ps := src.read(t, path.Join(dir, name))
		if unread[name] = ps; len(ps) > 0 { // its problems stand where its documents would
			found = []profile.Document{{File: name}}
		}
		docs = append(docs, found...)
	}
	problems = append(problems, src.settle(docs, &defaults)...)
	for _, d := range docs {
		if ps := unread[d.File]; len(ps) > 0 {
			problems = append(problems, ps...)
			continue
		}
		problems = append(problems, src.take(d, defaults)...)
	}
	return src.valid(problems)
}

// valid is the source where there are no problems with it or among its documents.
func (s *Source) valid(problems profile.Problems) (*Source, error) {
	problems = append(problems, s.sameNames()...)
	if len(problems) == 0 {
		problems = s.unused()
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return s, nil
}

func isManifestFile(name string) bool {
	if strings.HasPrefix(name, ".") || name == hardwareFile {
		return false
	}
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

// isKustomization knows the three names that kustomize accepts.
func isKustomization(name string) bool {
	return slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}, name)
}

// defaults reads the nearest hardware.yaml at or above dir, never above the root.
func (t *Tree) defaults(dir string) (profile.Defaults, profile.Problems) {
	for up := dir; ; up = path.Dir(up) {
		name := path.Join(up, hardwareFile)
		data, err := t.Read(name)
		switch {
		case err == nil:
			hw, err := profile.ParseHardware(name, data)
			return profile.Defaults{Hardware: hw}, problemsOf(name, err)
		case !errors.Is(err, fs.ErrNotExist):
			return profile.Defaults{}, fileProblem(name, err)
		case up == ".":
			return profile.Defaults{}, nil
		}
	}
}

// read returns the documents of a file, or what is wrong with it.
func (s *Source) read(t *Tree, file string) ([]profile.Document, profile.Problems) {
	data, err := t.Read(file)
	if err != nil {
		return nil, fileProblem(file, err)
	}
	s.bytes += len(data)
	docs, err := profile.Documents(file, data)
	return docs, problemsOf(file, err)
}

// check refuses what no API server would take as a document.
func (d document) check() profile.Problems {
	missing := ""
	switch {
	case d.APIVersion == "":
		missing = "apiVersion"
	case d.Kind == "":
		missing = "kind"
	default:
		return nil
	}
	return profile.Problems{{
		File: d.File, Line: d.Line, Path: missing,
		Message: "is missing: every document of the directory must be a Kubernetes object",
	}}
}

// sameNames refuses two DGDRs of one name: the lock knows a request by its name.
func (s *Source) sameNames() profile.Problems {
	first := map[string]*profile.Request{}
	var problems profile.Problems
	for _, req := range s.Requests {
		if other, ok := first[req.Name]; ok {
			message := fmt.Sprintf("%q is already the name of the DGDR at %s:%d", req.Name, other.File, other.Line)
			if s.kustomized != nil {
				message += "; to tell them apart, give each a namePrefix or build them on their own"
			}
			problems = append(problems, req.Problem("metadata.name", message))
			continue
		}
		first[req.Name] = req
	}
	return problems
}

// problems is an error of rendering the document, with the document's position
// where the error has none.
func (d document) problems(err error) profile.Problems {
	ps := problemsOf(d.File, err)
	for i := range ps {
		if ps[i].Line == 0 {
			ps[i].Line = d.Line
		}
	}
	return ps
}

// problemsOf is err as problems of a file; nil for no error.
func problemsOf(file string, err error) profile.Problems {
	var ps profile.Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ps):
		return ps
	}
	return profile.Problems{{File: file, Message: err.Error()}}
}

// fileProblem is an error of Tree.Read, which names the file itself.
func fileProblem(file string, err error) profile.Problems {
	message := strings.TrimPrefix(strings.TrimPrefix(err.Error(), file+": "), strconv.Quote(file)+": ")
	return profile.Problems{{File: file, Message: message}}
}
