package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/report"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// found is a result with the request that locks it, where there is one.
type found struct {
	*named
	file, rel string
}

// foundBy adds the place of the request to a result that was named by it.
func foundBy(n *named) found {
	f := found{named: n}
	if n.dir == "" {
		return f
	}
	for _, j := range loadDir(n.dir) {
		if j.req != nil && j.req.Name == n.entry.Name {
			f.file, f.rel = j.req.File, j.rel
		}
	}
	return f
}

// below are the locked results of the requests at or below a path.
func (o *reportOptions) below(ctx context.Context, path string) ([]found, error) {
	jobs, err := findJobs(ctx, []string{path})
	if err != nil {
		return nil, err
	}
	var out []found
	var errs []error
	for _, j := range jobs {
		n, err := o.lockedBy(ctx, j)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, found{n, j.req.File, j.rel})
	}
	return out, errors.Join(errs...)
}

func (o *reportOptions) lockedBy(ctx context.Context, j job) (*named, error) {
	if j.problem != nil {
		return nil, j.problem
	}
	lock, err := j.lock()
	if err != nil {
		return nil, err
	}
	e, ok := lock.Entry(j.req.Name)
	key := j.key
	if e.Estimate {
		key = j.req.Estimated().Inputs().Key()
	}
	if !ok || e.Key != key {
		return nil, fmt.Errorf("%s:%d: no result is locked for request %q as it stands; to profile it: dynamo-profile-runner run %s", j.req.File, j.req.Line, j.req.Name, j.rel)
	}
	store, err := openStore(o.store, j.dir)
	if err != nil {
		return nil, err
	}
	res, err := store.Get(ctx, e.Result)
	if err != nil {
		return nil, noStore(j.at(err))
	}
	return &named{store: store, digest: e.Result, result: res, entry: e, dir: j.dir}, nil
}

// subject is what is known of a result.
func (f found) subject(ctx context.Context, keys *trust.Keys) (*report.Subject, error) {
	s := &report.Subject{Result: f.result, Digest: string(f.digest), Request: f.entry.Name, File: f.file, Selected: f.entry.Select, Estimate: f.entry.Estimate}
	files, err := f.store.Files(ctx, f.digest)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		s.Files = append(s.Files, fmt.Sprintf("%s (%s)", file.Name, bytesText(int64(len(file.Data)))))
	}
	about, err := f.store.ReferrersTo(ctx, f.digest)
	if err != nil {
		return nil, err
	}
	for _, a := range about {
		s.Referrers = append(s.Referrers, string(a.Digest)+" "+a.Type)
	}
	s.Commands = f.commands()
	if keys == nil {
		return s, nil
	}
	verdict, err := keys.VerifyStored(ctx, f.store, f.digest)
	if errors.Is(err, trust.ErrUntrusted) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.Signed = signedBy(verdict)
	return s, nil
}

func signedBy(v *trust.Verdict) *report.Signed {
	s := &report.Signed{Key: filepath.Base(v.Key)}
	if p := v.Provenance; p != nil {
		run := p.RunDetails.Metadata
		s.Run, s.Started, s.Completed = run.InvocationID, run.StartedOn, run.FinishedOn
		var internal struct {
			Runner where `json:"runner"`
		}
		// What it cannot be read as was stated by another tool.
		if data, err := json.Marshal(p.BuildDefinition.InternalParameters); err == nil && json.Unmarshal(data, &internal) == nil {
			s.User, s.Host = internal.Runner.User, internal.Runner.Host
		}
	}
	return s
}

// commands answer what a reader asks next.
func (f found) commands() []report.Command {
	show := report.Command{Line: "dynamo-profile-runner show " + string(f.digest) + " --output json", Does: "The result as it is stored"}
	if f.rel == "" {
		return []report.Command{show}
	}
	dir := shellWord(f.rel)
	again := "dynamo-profile-runner run " + dir + " --force"
	if f.result.Inputs.Strategy == profile.StrategyThorough {
		again += " --namespace NAMESPACE"
	}
	return []report.Command{
		{Line: again, Does: "Answer the request again"},
		{Line: "dynamo-profile-runner stale " + dir, Does: "See whether newer tools answer otherwise"},
		{Line: "dynamo-cmp explain " + dir, Does: "Why it is as it is"},
		{Line: "dynamo-cmp generate " + dir, Does: "Render what it deploys"},
		show,
	}
}

var unusual = regexp.MustCompile(`[^A-Za-z0-9._-]`)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./-]*$`)

// shellWord is a word that a shell takes as it is.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
