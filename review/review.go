// Package review says what a change of a repository does to what it deploys: the
// manifests object by object and field by field and, above them, what matters of each
// request: topology, GPUs, latency against its targets, cost, why it moved, and what
// a rollout will restart.
//
// It is values in, values out: the two sides are rendered by its caller.
package review

import (
	"cmp"
	"maps"
	"path"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// App is one side of an app: what a directory renders to in one revision.
type App struct {
	Dir      string
	Files    map[string]string // hash of the content of what the render reads, by path
	Requests []Request
	Stream   []byte // of manifests; empty where it could not be rendered
	Err      error  // why it could not
}

// Request is a request with what was profiled for it.
type Request struct {
	*profile.Request
	Result   *profile.Result
	Digest   string // empty where nothing was profiled
	Estimate bool   // the result is simulated until a measurement lands
}

// The statuses of apps, requests and objects. An app that is Same was edited without
// an effect; one that Failed could not be rendered on a side.
const (
	Added   = "added"
	Removed = "removed"
	Moved   = "moved" // to another directory
	Renamed = "renamed"
	Changed = "changed"
	Same    = "same"
	Failed  = "failed"
)

// Review is what changes from Base to Head.
type Review struct {
	Base       Revision    `json:"base"`
	Head       Revision    `json:"head"`
	Unchanged  int         `json:"unchanged"` // apps with equal files
	Currency   string      `json:"currency,omitempty"`
	Apps       []Change    `json:"apps"`
	Violations []Violation `json:"violations"`

	Command string `json:"-"` // that shows all of it; empty for a diff with Base
	Preface string `json:"-"` // Markdown below the headline
}

// Revision is a side.
type Revision struct {
	Name   string `json:"name"`             // as the user named it, or "worktree"
	Commit string `json:"commit,omitempty"` // empty for the worktree
}

// Change is an app that differs between the sides.
type Change struct {
	Dir      string          `json:"dir"`
	Was      string          `json:"was,omitempty"` // the directory, where it moved
	Status   string          `json:"status"`
	Errors   []SideError     `json:"errors,omitempty"`
	Files    []FileChange    `json:"files"` // of what the render reads, and the lock
	Requests []RequestChange `json:"requests"`
	Objects  []ObjectChange  `json:"objects"`
}

// SideError is why a side could not be rendered.
type SideError struct {
	Side    string `json:"side"` // base or head
	Message string `json:"message"`
}

// FileChange is a file that differs.
type FileChange struct {
	Path   string `json:"path"`
	Status string `json:"status"` // added, removed or changed
}

// Differs says whether anything deployed changes.
func (r *Review) Differs() bool {
	return slices.ContainsFunc(r.Apps, func(c Change) bool { return c.Status != Same && c.Status != Failed })
}

// Failed says whether an app could not be rendered on a side.
func (r *Review) Failed() bool {
	return slices.ContainsFunc(r.Apps, func(c Change) bool { return c.Status == Failed })
}

// Compare holds the apps of two sides against each other; those that are equal the
// caller leaves out. An app that is on one side alone is held against one of the
// other where a directory was moved.
func Compare(base, head []App, prices *Prices) []Change {
	was := map[string]*App{}
	for i := range base {
		was[base[i].Dir] = &base[i]
	}
	moved := moves(base, head)
	changes := []Change{}
	for i := range head {
		h := &head[i]
		b := was[h.Dir]
		if from, ok := moved[h.Dir]; ok {
			b = was[from]
		}
		if b != nil {
			delete(was, b.Dir)
		}
		changes = append(changes, compareApps(b, h, prices))
	}
	for _, b := range was {
		changes = append(changes, compareApps(b, nil, prices))
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Dir, b.Dir) })
	return changes
}

// moves are the apps that were moved, old directories by new ones: the names of
// their requests are the same, and no other app has these.
func moves(base, head []App) map[string]string {
	dirs := func(of []App, but []App) map[string][]string {
		named := map[string][]string{}
		for _, a := range of {
			gone := !slices.ContainsFunc(but, func(b App) bool { return b.Dir == a.Dir })
			if names := requestNames(a); gone && names != "" {
				named[names] = append(named[names], a.Dir)
			}
		}
		return named
	}
	old, now := dirs(base, head), dirs(head, base)
	moved := map[string]string{}
	for names, from := range old {
		if to := now[names]; len(from) == 1 && len(to) == 1 {
			moved[to[0]] = from[0]
		}
	}
	return moved
}

func requestNames(a App) string {
	names := ""
	for _, r := range a.Requests {
		names += r.Name + "\x00"
	}
	return names
}

// compareApps compares the sides of an app; nil is a side without it.
func compareApps(base, head *App, prices *Prices) Change {
	c := Change{Requests: []RequestChange{}, Objects: []ObjectChange{}}
	switch {
	case head == nil:
		c.Dir, c.Status, head = base.Dir, Removed, &App{}
	case base == nil:
		c.Dir, c.Status, base = head.Dir, Added, &App{}
	case base.Dir != head.Dir:
		c.Dir, c.Was, c.Status = head.Dir, base.Dir, Moved
	default:
		c.Dir = head.Dir
	}
	c.Files = fileChanges(base, head)
	for _, side := range []struct {
		name string
		app  *App
	}{{"base", base}, {"head", head}} {
		if side.app.Err != nil {
			c.Status = Failed
			c.Errors = append(c.Errors, SideError{side.name, side.app.Err.Error()})
		}
	}
	if c.Status == Failed {
		return c
	}
	was, err := objectsOf(base.Stream)
	if err == nil {
		var now []manifest
		if now, err = objectsOf(head.Stream); err == nil {
			paired := pairs(base.Requests, head.Requests)
			c.Objects = compareObjects(was, now, renames(paired))
			c.Requests = compareRequests(paired, base, head, was, now, c.Files, prices)
		}
	}
	if err != nil { // we wrote the stream
		c.Status, c.Errors = Failed, []SideError{{"head", err.Error()}}
		return c
	}
	switch {
	case c.Status != "":
	case len(c.Objects) == 0 && len(c.Requests) == 0:
		c.Status = Same
	default:
		c.Status = Changed
	}
	return c
}

// fileChanges are the files that differ; in an app that moved, by their place in it.
func fileChanges(base, head *App) []FileChange {
	place := func(a *App, file string) string {
		if base.Dir != head.Dir && path.Dir(file) == a.Dir {
			return path.Base(file)
		}
		return file
	}
	was, now := map[string]string{}, map[string]string{}
	for file, hash := range base.Files {
		was[place(base, file)] = hash
	}
	for file, hash := range head.Files {
		now[place(head, file)] = hash
	}
	both := maps.Clone(was)
	maps.Copy(both, now)
	out := []FileChange{}
	for _, file := range slices.Sorted(maps.Keys(both)) {
		status := Changed
		switch {
		case was[file] == now[file]:
			continue
		case was[file] == "":
			status = Added
		case now[file] == "":
			status = Removed
		}
		out = append(out, FileChange{file, status})
	}
	return out
}
