package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/rapid"
	"github.com/dynamo-cmp/dynamo-cmp/profile/thorough"
)

// planned is what a run would do for one request.
type planned struct {
	Request  string           `json:"request"`
	Path     string           `json:"path"`
	Key      profile.Key      `json:"key"`
	Strategy profile.Strategy `json:"strategy"`
	Plan     *thorough.Plan   `json:"plan,omitempty"` // thorough only
}

// dryRun prints what would be measured for the requests, and touches neither a cluster
// nor the store.
func dryRun(ctx context.Context, w io.Writer, jobs []job, o runOptions) error {
	rapidProfiler := rapid.New(rapid.Options{Python: o.python, ModelConfigs: o.modelConfigs, Jobs: 1})
	defer rapidProfiler.Close()
	profiler := thorough.New(thorough.Options{Engines: rapidProfiler.Engines, Points: o.thorough.points, MaxGPUs: o.thorough.maxGPUs})
	var plans []planned
	var errs []error
	for _, j := range jobs {
		if j.problem != nil {
			errs = append(errs, j.problem)
			continue
		}
		in := j.req.Inputs()
		p := planned{Request: j.req.Name, Path: j.req.File, Key: j.key, Strategy: in.Strategy}
		if in.Strategy == profile.StrategyThorough {
			plan, err := profiler.Plan(ctx, in, modelDir(j.req))
			if err != nil {
				errs = append(errs, j.at(err))
				continue
			}
			p.Plan = plan
		}
		plans = append(plans, p)
	}
	if err := printPlans(w, plans, o.output); err != nil {
		return err
	}
	return errors.Join(errs...)
}

func printPlans(w io.Writer, plans []planned, output string) error {
	if output == "json" {
		return printJSON(w, plans)
	}
	for _, p := range plans {
		if p.Plan == nil {
			fmt.Fprintf(w, "%s: %s: by simulation, takes no GPU\n", p.Path, p.Request)
			continue
		}
		fmt.Fprintf(w, "%s: %s: %d candidates, about %s and %.1f GPU hours\n", p.Path, p.Request, len(p.Plan.Candidates), p.Plan.Duration.Round(time.Minute), p.Plan.GPUHours)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ROLE\tENGINE\tGPUS\tLOADS\tABOUT\tGPU HOURS\tNOTE")
		for _, c := range p.Plan.Candidates {
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%.1f\t%s\n", c.Role, c.Parallelism.Label(), c.GPUs, c.Loads,
				time.Duration(c.Seconds)*time.Second, c.Seconds/3600*float64(c.GPUs), c.Skip)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
