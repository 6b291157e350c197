package rapid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// outcome is what worker.py answers for a sweep. Modes are the keys: agg, disagg.
type outcome struct {
	Chosen string                    `json:"chosen"`
	Best   map[profile.Mode][]ranked `json:"best"`
	Pareto map[profile.Mode][]row    `json:"pareto"`
	Files  map[string]string         `json:"files"`
	Errors map[string]string         `json:"errors"` // by experiment
}

// ranked is a row of a ranking, with the flags of its engines by role.
type ranked struct {
	Row     row                 `json:"row"`
	Backend profile.Backend     `json:"backend"`
	Version string              `json:"version"`
	Args    map[string][]string `json:"args"`
}

// simulate sweeps, picks as Dynamo picks, and checks what was picked.
func (s *session) simulate(ctx context.Context) (*profile.Result, []profile.File, error) {
	method := "sweep"
	if s.in.Picking == profile.PickAutoscale {
		method = "autoscale"
	}
	if !slices.Contains(s.worker.tables, tablesOf(s.in)[0]) {
		s.say("loading tables of " + s.in.Hardware.System)
	}
	var out outcome
	err := s.call(ctx, method, s.sweepParams(), &out)
	s.remember()
	if r := (*refusal)(nil); errors.As(err, &r) && r.Kind == "empty" {
		out.Errors = map[string]string{method: r.Message}
	} else if err != nil {
		return nil, nil, err
	}
	mode := s.choose(out)
	if len(out.Best[mode]) == 0 || !s.meets(out.Best[mode][0].Row) {
		return nil, nil, s.unmet(ctx, out)
	}
	res, err := s.conclude(out, mode)
	return res, files(out.Files), err
}

// choose is the mode to pick from, once the rows are gone that cannot be deployed and,
// where any meets the targets, those that miss them. AIConfigurator compares its modes by
// throughput alone, and ranks its closest rows where none of a mode meets the targets.
func (s *session) choose(out outcome) profile.Mode {
	meets := func(r ranked) bool { return s.meets(r.Row) }
	met := false
	for mode, best := range out.Best {
		if needsRoles(s.in) && mode == profile.Aggregated {
			best = nil
		}
		out.Best[mode] = slices.DeleteFunc(best, func(r ranked) bool { return r.Row.contextParallel() })
		met = met || slices.ContainsFunc(out.Best[mode], meets)
	}
	for mode, best := range out.Best {
		out.Best[mode] = slices.DeleteFunc(best, func(r ranked) bool { return met && !meets(r) })
	}
	if needsRoles(s.in) {
		return profile.Disaggregated
	}
	for _, mode := range []profile.Mode{profile.Mode(out.Chosen), profile.Aggregated, profile.Disaggregated} {
		if len(out.Best[mode]) > 0 {
			return mode
		}
	}
	return profile.Mode(out.Chosen)
}

// conclude makes the result of the best row of a mode.
func (s *session) conclude(out outcome, mode profile.Mode) (*profile.Result, error) {
	best := out.Best[mode][0]
	pick, err := s.pick(best, mode)
	if err != nil {
		return nil, err
	}
	if err := s.checkMemory(pick); err != nil {
		return nil, err
	}
	res := s.result(profile.Simulated, pick)
	if s.database != silicon {
		res.Confidence, res.Reason = profile.Estimated, s.estimated()
	}
	res.SLA = s.outcomeOf(best.Row)
	res.Alternatives = s.alternatives(out, mode)
	res.Pareto = s.pareto(out)
	res.Warnings = s.warnings
	res.Provenance.Database = s.database
	return res, nil
}

// checkMemory holds the pick against the memory that the request says a GPU has:
// AIConfigurator knows only what its system file says.
func (s *session) checkMemory(p profile.Pick) error {
	for _, role := range p.Roles {
		if role.MemoryGiB*gib > s.vramBytes() {
			return fmt.Errorf("hardware.vramMb %g: the best %s engine takes %g GiB of each GPU, since AIConfigurator's %s has %.0f GiB",
				s.in.Hardware.VRAMMiB, role.Name, role.MemoryGiB, s.in.Hardware.System, s.system.VRAMBytes/gib)
		}
	}
	return nil
}

// remember notes which tables the worker has loaded now.
func (s *session) remember() {
	in := s.in
	in.Backend = s.backend
	for _, t := range tablesOf(in) {
		if !slices.Contains(s.worker.tables, t) {
			s.worker.tables = append(s.worker.tables, t)
		}
	}
}

// pick sizes a configuration for the GPU budget (Dynamo: module_bridge.py of
// AIConfigurator, profiler/rapid.py).
func (s *session) pick(r ranked, mode profile.Mode) (profile.Pick, error) {
	p := profile.Pick{Mode: mode, Backend: r.Backend, BackendVersion: r.Version, System: s.in.Hardware.System}
	if mode == profile.Aggregated {
		p.Roles = []profile.Role{r.role(profile.RoleWorker, "", "agg")}
	} else {
		p.Roles = []profile.Role{r.role(profile.RolePrefill, "(p)", "prefill"), r.role(profile.RoleDecode, "(d)", "decode")}
	}
	unit := 0
	for _, role := range p.Roles {
		if par := role.Parallelism; max(par.TP, par.PP, par.DP, par.MoETP, par.MoEEP, role.WorkersPerReplica) > maxCount {
			return p, fmt.Errorf("a %s engine of %+v is larger than any system", role.Name, par)
		}
		unit += max(role.WorkersPerReplica, 1) * role.GPUsPerEngine
	}
	scale := 1
	if s.in.Picking == profile.PickAutoscale {
		// One engine each: the planner adds more. Dynamo does not hold the pair
		// against the budget either, which the planner could then never keep.
		if unit > s.in.Hardware.TotalGPUs {
			s.warn("one prefill and one decode engine take %d GPUs, more than hardware.totalGpus %d", unit, s.in.Hardware.TotalGPUs)
		}
	} else if scale = s.budget(r.Row) / unit; scale == 0 {
		return p, fmt.Errorf("hardware.totalGpus %d: one %s unit takes %d GPUs", s.in.Hardware.TotalGPUs, mode, unit)
	}
	for i := range p.Roles {
		p.Roles[i].Replicas = scale * max(p.Roles[i].WorkersPerReplica, 1)
		p.TotalGPUs += p.Roles[i].Replicas * p.Roles[i].GPUsPerEngine
	}
	p.Expected = r.Row.metrics()
	return p, nil
}

// budget is the GPUs that a configuration may take: those its load needs, within
// the request's budget.
func (s *session) budget(r row) int {
	total := s.in.Hardware.TotalGPUs
	if needed := r.int("total_gpus_needed"); s.in.Picking == profile.PickLoadMatch && needed > 0 {
		return min(needed, total)
	}
	return total
}

// role reads one role's columns, which carry the prefix.
func (r ranked) role(name profile.RoleName, prefix, args string) profile.Role {
	par := r.Row.parallelism(prefix)
	return profile.Role{
		Name:              name,
		GPUsPerEngine:     par.TP * par.PP * par.DP,
		Parallelism:       par,
		BatchSize:         r.Row.int(prefix + "bs"),
		WorkersPerReplica: r.Row.int(prefix + "workers"),
		Quantization: profile.Quantization{
			GEMM:    r.Row.text(prefix + "gemm"),
			KVCache: r.Row.text(prefix + "kvcache"),
			FMHA:    r.Row.text(prefix + "fmha"),
			MoE:     r.Row.text(prefix + "moe"),
			Comm:    r.Row.text(prefix + "comm"),
		},
		MemoryGiB: r.Row.num(prefix + "memory"),
		Args:      r.Args[args],
	}
}

// alternatives ranks every other configuration that meets the targets by the
// objective of the picking rule.
func (s *session) alternatives(out outcome, picked profile.Mode) []profile.Pick {
	type scored struct {
		pick  profile.Pick
		score []float64 // higher is better
	}
	var all []scored
	warnings := s.warnings
	for _, mode := range []profile.Mode{profile.Aggregated, profile.Disaggregated} {
		for i, r := range out.Best[mode] {
			if mode == picked && i == 0 {
				continue
			}
			if p, err := s.pick(r, mode); err == nil {
				all = append(all, scored{p, s.score(r.Row)})
			}
		}
	}
	s.warnings = warnings // those of the pick alone
	slices.SortStableFunc(all, func(a, b scored) int { return slices.Compare(b.score, a.score) })
	var picks []profile.Pick
	for _, one := range all {
		picks = append(picks, one.pick)
	}
	return picks
}

func (s *session) score(r row) []float64 {
	switch s.in.Picking {
	case profile.PickLoadMatch:
		return []float64{r.loadServed(), -r.num("total_gpus_needed"), r.num("tokens/s/gpu")}
	case profile.PickAutoscale:
		return []float64{r.num("tokens/s/gpu")}
	default:
		return []float64{r.num("tokens/s/gpu_cluster"), r.num("tokens/s/gpu")}
	}
}

// pareto lists the points of every mode in the order of the sweep.
func (s *session) pareto(out outcome) []profile.Candidate {
	var points []profile.Candidate
	for _, mode := range []profile.Mode{profile.Aggregated, profile.Disaggregated} {
		for _, r := range out.Pareto[mode] {
			c := profile.Candidate{Mode: mode, Backend: s.backend, GPUs: r.int("num_total_gpus"), Expected: *r.metrics()}
			if b := r.text("backend"); b != "" {
				c.Backend = profile.Backend(b)
			}
			c.Roles = map[profile.RoleName]profile.Parallelism{profile.RoleWorker: r.parallelism("")}
			if mode == profile.Disaggregated {
				c.Roles = map[profile.RoleName]profile.Parallelism{
					profile.RolePrefill: r.parallelism("(p)"), profile.RoleDecode: r.parallelism("(d)")}
			}
			points = append(points, c)
		}
	}
	return points
}

func files(tables map[string]string) []profile.File {
	var out []profile.File
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		out = append(out, profile.File{Name: name, MediaType: "text/csv", Data: []byte(tables[name])})
	}
	return out
}

// row is a row of AIConfigurator's tables (its sdk/common.py: ColumnsAgg,
// ColumnsDisagg). A column that is absent or not a number reads as zero.
type row map[string]any

func (r row) num(column string) float64 {
	f, _ := r[column].(float64)
	return f
}

// int is a number within 32 bits, as converting a larger one gives anything.
func (r row) int(column string) int {
	return int(max(math.MinInt32, min(math.MaxInt32, math.Round(r.num(column)))))
}

func (r row) text(column string) string {
	t, _ := r[column].(string)
	return t
}

func (r row) parallelism(prefix string) profile.Parallelism {
	one := func(column string) int { return max(r.int(prefix+column), 1) }
	return profile.Parallelism{TP: one("tp"), PP: one("pp"), DP: one("dp"), MoETP: one("moe_tp"), MoEEP: one("moe_ep")}
}

// contextParallel reports whether engines split the context over GPUs, which the
// generator of the flags cannot say: they would run on fewer GPUs than predicted.
func (r row) contextParallel() bool {
	return r.num("cp") > 1 || r.num("(p)cp") > 1
}

// loadServed is the percentage of the wanted load that is served.
func (r row) loadServed() float64 {
	return cmp.Or(r.num("load_served_pct"), 100)
}

func (r row) metrics() *profile.Metrics {
	return &profile.Metrics{
		TTFTMillis:             r.num("ttft"),
		ITLMillis:              r.num("tpot"), // AIConfigurator's name of it
		RequestLatencyMillis:   r.num("request_latency"),
		Concurrency:            r.num("concurrency"),
		RequestsPerSecond:      r.num("seq/s"),
		TokensPerSecond:        r.num("tokens/s"),
		TokensPerSecondPerGPU:  r.num("tokens/s/gpu"),
		TokensPerSecondPerUser: r.num("tokens/s/user"),
	}
}
