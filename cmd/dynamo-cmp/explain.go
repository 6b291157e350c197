package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

func newExplainCommand() *cobra.Command {
	var o options
	var request, against, output string
	cmd := &cobra.Command{
		Use:   "explain [DIR|FILE]",
		Short: "Say why a deployment is as it is",
		Long: `explain prints, for each DGDR of DIR or FILE: the key and the inputs that it is made
of, the result and where it comes from, the target of the SLA that leaves the least
room, the pick beside the runner-up, and all alternatives in their order. To render
number 3 of them instead of the pick, write into the entry of dynamo.lock:

  select: 3

With --against, it compares the deployment of one DGDR with another, a recipe's or
one written by hand, of v1beta1 or v1alpha1: GPUs, replicas and parallelism of every
role, and the flags of engines that differ.

It reads what generate reads and finds results by the same rules.`,
		Example: `  # why two prefill engines?
  dynamo-cmp explain apps/llama-70b

  # is a recipe what profiling would choose for these targets?
  dynamo-cmp explain apps/llama-70b/dgdr.yaml --against recipes/llama-70b/deploy.yaml`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return &codedError{exitInput, fmt.Errorf("--output: unknown value %q, want text or json", output)}
			}
			ctx, done, err := o.start(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			said, err := explain(ctx, directory(args), request, against, o)
			if err != nil {
				return err
			}
			out, err := printed(said, output)
			if err != nil {
				return fmt.Errorf("printing: %w", err)
			}
			_, err = profile.Printable(cmd.OutOrStdout()).Write(out)
			return err
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&request, "request", "", "name of the one DGDR to explain")
	cmd.Flags().StringVar(&against, "against", "", "file with a DynamoGraphDeployment to compare with")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// explanation is what there is to say of one request.
type explanation struct {
	Request      string             `json:"request"`
	File         string             `json:"file"`
	Key          profile.Key        `json:"key"`
	Inputs       profile.Inputs     `json:"inputs"`
	Result       string             `json:"result"` // digest; empty where nothing was profiled
	From         string             `json:"from"`   // how the result was found
	Confidence   profile.Confidence `json:"confidence"`
	Reason       string             `json:"reason,omitempty"`
	Profiler     profile.Provenance `json:"profiler"`
	SLA          profile.SLAOutcome `json:"sla"`
	Margins      []profile.Margin   `json:"margins"`            // the one that binds first
	Selected     int                `json:"selected,omitempty"` // by the lock
	Pick         ranked             `json:"pick"`
	Alternatives []ranked           `json:"alternatives"`
	Against      *compared          `json:"against,omitempty"`
}

// ranked is a configuration with its place in the result, which select in a lock
// names: 1 is the pick of the profiler.
type ranked struct {
	Index    int              `json:"index"`
	Backend  profile.Backend  `json:"backend"`
	Topology string           `json:"topology"`
	GPUs     int              `json:"gpus"`
	Expected *profile.Metrics `json:"expected,omitempty"`
}

// compared is the deployment of a request beside that of a file.
type compared struct {
	File  string                  `json:"file"`
	Roles []render.RoleComparison `json:"roles"`
}

// explain says it of the requests of a directory or a file, or of the one named.
func explain(ctx context.Context, at, name, against string, o options) ([]explanation, error) {
	dir, file := at, ""
	if info, err := os.Stat(at); err == nil && !info.IsDir() {
		dir, file = filepath.Dir(at), filepath.Base(at)
	}
	tree, rel, err := openTree(dir)
	if err != nil {
		return nil, &codedError{exitInput, err}
	}
	defer tree.Close()
	src, err := tree.Load(rel)
	if err != nil {
		return nil, err
	}
	r, err := newResolver(tree, src, o)
	if err != nil {
		return nil, err
	}
	reqs, err := chosen(src, file, name, against != "")
	if err != nil {
		return nil, &codedError{exitInput, err}
	}
	var out []explanation
	var errs []error
	for _, req := range reqs {
		e, err := r.explain(ctx, req, against)
		errs, out = append(errs, err), append(out, e)
	}
	return out, errors.Join(errs...)
}

// chosen are the requests that are meant; one, where one is compared.
func chosen(src *render.Source, file, name string, one bool) ([]*profile.Request, error) {
	where, names := src.Dir, []string{}
	if file != "" {
		where = path.Join(src.Dir, file)
	}
	var reqs []*profile.Request
	for _, req := range src.Requests {
		if file == "" || req.File == where {
			names = append(names, req.Name)
			if name == "" || req.Name == name {
				reqs = append(reqs, req)
			}
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%s: holds no DynamoGraphDeploymentRequest", where)
	case len(reqs) == 0:
		return nil, fmt.Errorf("%s: no request is called %q%s; there are %s", where, name, profile.DidYouMean(name, names), strings.Join(names, ", "))
	case one && len(reqs) > 1:
		return nil, fmt.Errorf("%s: holds %d requests, and one is compared; to choose it: --request %s", where, len(reqs), strings.Join(names, "|"))
	}
	return reqs, nil
}

func (r *resolver) explain(ctx context.Context, req *profile.Request, against string) (explanation, error) {
	ans, err := r.answer(ctx, req)
	if err != nil {
		return explanation{}, err
	}
	res := ans.Result
	e := explanation{
		Request: req.Name, File: where(req), Key: res.Inputs.Key(), Inputs: res.Inputs, Result: ans.Digest, From: r.from(req, ans),
		Confidence: res.Confidence, Reason: res.Reason, Profiler: res.Provenance, SLA: res.SLA,
		Margins: slices.Concat([]profile.Margin{}, res.Margins()), Selected: ans.Selected, Pick: rank(max(1, ans.Selected), &res.Pick), Alternatives: []ranked{},
	}
	for i := range res.Alternatives {
		place := i + 1
		if place >= e.Pick.Index {
			place++
		}
		e.Alternatives = append(e.Alternatives, rank(place, &res.Alternatives[i]))
	}
	if against == "" {
		return e, nil
	}
	data, err := render.ReadFile(against)
	if err != nil {
		return e, &codedError{exitInput, fmt.Errorf("--against: %w", err)}
	}
	dgd, err := render.DGD(req, ans)
	if err != nil {
		return e, err
	}
	roles, err := render.Compare(dgd, against, data)
	e.Against = &compared{against, roles}
	return e, err
}

func (r *resolver) from(req *profile.Request, ans render.Answer) string {
	if ans.Digest == "" {
		return "nothing: --on-miss naive"
	}
	if _, locked := r.lock.Entry(req.Name); locked {
		return path.Join(r.dir, cache.LockFile)
	}
	return "the key's tag in the store"
}

func rank(index int, p *profile.Pick) ranked {
	return ranked{index, p.Backend, render.Topology(p), p.TotalGPUs, p.Expected}
}

func printed(said []explanation, format string) ([]byte, error) {
	var b strings.Builder
	if format == "json" {
		enc := json.NewEncoder(&b)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err := enc.Encode(map[string][]explanation{"requests": said})
		return []byte(b.String()), err
	}
	for i, e := range said {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(e.text())
	}
	return []byte(b.String()), nil
}
