package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Bounds of one build: bases that use bases twice grow without bound otherwise.
const (
	maxResources = 10_000 // accumulated, each as often as it is used
	maxLayers    = 1_000
)

// closure is everything that the build of one kustomization reads, each path in
// it checked: kustomize sees these files and no others, so that it can leave
// neither the repository nor the machine. A kustomization that holds a DGDR has a
// copy of its own for each use, so that every variant of the DGDR is known apart.
type closure struct {
	tree    *Tree
	layers  []*layer
	files   map[string][]byte  // all but kustomizations and holders, by place
	holders map[string]holder  // the files that hold DGDRs, by place
	docs    []profile.Document // what the other resource files hold
	written []profile.Document // the DGDRs as they are written, by number
	used    map[string]bool    // what was read
	mention bool               // some file mentions a DGDR

	open     []string // the chain of directories being visited
	visited  map[string]*visit
	copies   map[string]int
	bytes    int
	problems profile.Problems
}

// layer is one use of a kustomization.
type layer struct {
	dir  string // where it is, relative to the root
	at   string // its place in the build: dir, with a suffix for a further copy
	file string // the name of the kustomization file
	spec types.Kustomization
}

// holder is a file that holds DGDRs, the first of which has the number first.
type holder struct {
	docs  []profile.Document
	first int
}

// visit is what a visit to a kustomization found.
type visit struct {
	at        string
	resources int
	size      int  // bytes of all that is accumulated, aliases written out
	requests  bool // it holds a DGDR, itself or below
}

// readClosure reads what the kustomization in dir builds from. Its problems are
// all that is wrong with any of it.
func readClosure(t *Tree, dir string) *closure {
	c := &closure{
		tree: t, files: map[string][]byte{}, holders: map[string]holder{}, used: map[string]bool{},
		visited: map[string]*visit{}, copies: map[string]int{},
	}
	c.visit(dir, func(format string, args ...any) {
		c.fault(dir, "", format, args...)
	})
	return c
}

func (c *closure) fault(file, field, format string, args ...any) {
	c.problems = append(c.problems, profile.Problem{File: file, Path: field, Message: fmt.Sprintf(format, args...)})
}

// visit reads the kustomization of a directory; refuse says why the directory
// that names it may not.
func (c *closure) visit(dir string, refuse func(format string, args ...any)) *visit {
	nothing := &visit{at: dir}
	for _, open := range c.open {
		if open == dir || dir == "." || strings.HasPrefix(open, dir+"/") {
			refuse("leads back to %s, which is being built from it", open)
			return nothing
		}
	}
	if v := c.visited[dir]; v != nil && !v.requests {
		return v
	}
	if len(c.layers) >= maxLayers {
		refuse("the build uses more than %d kustomizations", maxLayers)
		return nothing
	}
	names, err := c.tree.list(dir)
	if err != nil {
		refuse("%s", strings.TrimPrefix(err.Error(), dir+": "))
		return nothing
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !isKustomization(name) })
	switch len(names) {
	case 0:
		refuse("no kustomization in this directory")
		return nothing
	case 1:
	default:
		refuse("two kustomizations in one directory: %s", strings.Join(names, " and "))
		return nothing
	}
	c.copies[dir]++
	l := &layer{dir: dir, at: dir, file: names[0]}
	if n := c.copies[dir]; n > 1 {
		l.at = fmt.Sprintf("%s~%d", dir, n)
	}
	c.open = append(c.open, dir)
	v := c.read(l)
	c.open = c.open[:len(c.open)-1]
	c.visited[dir] = v
	return v
}

// read parses a kustomization and everything that it names.
func (c *closure) read(l *layer) *visit {
	v := &visit{at: l.at}
	name := l.source()
	data, ok := c.load(name, name, "")
	if !ok {
		return v
	}
	if _, err := profile.Documents(name, data); err != nil {
		c.problems = append(c.problems, problemsOf(name, err)...)
		return v
	}
	if err := l.spec.Unmarshal(data); err != nil {
		c.fault(name, "", "%s", strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "invalid Kustomization: ")), " "))
		return v
	}
	l.spec.FixKustomization()
	if l.spec.CheckEmpty() != nil {
		c.fault(name, "", "is empty; list what it builds from under resources")
		return v
	}
	c.layers = append(c.layers, l)
	r := reader{closure: c, layer: l, visit: v}
	r.all()
	if v.resources > maxResources {
		c.fault(name, "", "builds more than %d resources", maxResources)
		v.resources = 0
	}
	if v.size > maxOutput {
		c.fault(name, "", "builds resources of %d bytes, more than the %d allowed", v.size, maxOutput)
		v.size = 0
	}
	return v
}

// sizeOf is how many bytes the values of a document are, each alias written out.
func sizeOf(n *yaml.Node) int {
	size := len(n.Value) + 1
	for _, item := range n.Content {
		size += sizeOf(item)
	}
	return size
}

func (l *layer) source() string { return path.Join(l.dir, l.file) }

// load reads a file of the repository on behalf of a field of a kustomization.
func (c *closure) load(name, from, field string) ([]byte, bool) {
	if c.bytes > maxTotalBytes {
		return nil, false
	}
	data, err := c.tree.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.fault(from, field, "no such file: %s", name)
		return nil, false
	case err != nil:
		c.fault(from, field, "%s", err)
		return nil, false
	}
	c.bytes += len(data)
	if c.bytes > maxTotalBytes {
		c.fault(from, field, "the build reads more than %d MiB", maxTotalBytes>>20)
	}
	c.used[name] = true
	c.mention = c.mention || mentionsRequest(data)
	return data, true
}

func mentionsRequest(data []byte) bool {
	return strings.Contains(string(data), requestKind)
}

// requestKind and deploymentKind are of group nvidia.com.
const (
	requestKind    = "DynamoGraphDeploymentRequest"
	deploymentKind = "DynamoGraphDeployment"
)

// remotePath knows what kustomize would fetch: a URL, or what git clones.
var remotePath = regexp.MustCompile(`(?i)^(https?:|git::|github\.com[:/]|[a-z][a-z0-9-]*@)|://|\?(ref|version)=`)

// local checks a path that a kustomization names. The relative path it returns
// begins with a dot, which nothing takes for the name of a host.
func (c *closure) local(l *layer, field, p string) (rel string, ok bool) {
	switch target := path.Join(l.dir, p); {
	case remotePath.MatchString(p):
		c.fault(l.source(), field, "%q is remote, and a render reads the repository alone; to use it, copy it there", p)
	case path.IsAbs(p):
		c.fault(l.source(), field, "%q is an absolute path; name it relative to the kustomization", p)
	case target == ".." || strings.HasPrefix(target, "../"):
		c.fault(l.source(), field, "%q leads out of the repository", p)
	default:
		return dotted(path.Clean(p)), true
	}
	return p, false
}

// dotted marks a clean relative path as one.
func dotted(p string) string {
	if p == ".." || strings.HasPrefix(p, "../") {
		return p
	}
	return "./" + p
}
