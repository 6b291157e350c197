// Package rapid answers inputs by simulation: it drives the real AIConfigurator
// the way the rapid path of Dynamo 1.5 does (profiler/rapid.py), and falls back to
// a configuration that is only known to fit where AIConfigurator has no tables.
//
// AIConfigurator is Python. A pool of workers runs worker.py, one process each,
// alive across requests because imports and performance tables cost seconds. A
// worker answers facts; everything is decided here.
package rapid

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Options says where AIConfigurator is and how it may be used. Workers do not
// download a model's config.json unless HF_HUB_OFFLINE=0 is in the environment:
// the answer shall not depend on what a hub serves today.
type Options struct {
	// Python is the interpreter of the environment that holds AIConfigurator.
	Python string
	// ModelConfigs are directories with config.json files of models that
	// AIConfigurator does not ship: ORG/NAME/config.json or ORG--NAME_config.json
	// below it, a Hugging Face cache, or one model's own directory.
	ModelConfigs []string
	// Jobs is how many workers may run at once; below 1 counts as 1.
	Jobs int
	// Progress, where set, is told what is being done; calls may be concurrent.
	Progress func(in profile.Inputs, message string)
}

// Profiler answers inputs by simulation. It is safe for concurrent use.
type Profiler struct {
	options Options
	pool    *pool
}

// New returns a profiler. Workers start when they are needed.
func New(o Options) *Profiler {
	launch := func(ctx context.Context) (*worker, error) {
		return startWorker(ctx, workerCommand(o.Python), handshakeTimeout)
	}
	return &Profiler{options: o, pool: newPool(max(o.Jobs, 1), launch)}
}

// handshakeTimeout bounds a worker's start: imports take 5 CPU seconds, on a
// loaded machine many times that.
const handshakeTimeout = 3 * time.Minute

// Close ends every worker. Profile fails afterwards.
func (p *Profiler) Close() error {
	p.pool.close()
	return nil
}

// Profile answers the inputs. The result is a function of the inputs, the
// model's configuration and the tool's version: profiled again, it has the same
// bytes. modelDir is a local directory whose config.json describes the model, or
// empty. The files are the tables that AIConfigurator made.
//
// There is no result, but an error that says what could be reached, when the SLA
// cannot be met, and when the model does not fit.
func (p *Profiler) Profile(ctx context.Context, in profile.Inputs, modelDir string) (res *profile.Result, files []profile.File, err error) {
	if in.Strategy != profile.StrategyRapid {
		return nil, nil, fmt.Errorf("strategy %q is not answered by simulation", in.Strategy)
	}
	err = p.session(ctx, in, modelDir, func(ctx context.Context, s *session) error {
		res, files, err = s.run(ctx)
		return err
	})
	return res, files, err
}

// session reads the model and hands a worker to answer.
func (p *Profiler) session(ctx context.Context, in profile.Inputs, modelDir string, answer func(context.Context, *session) error) error {
	if err := checkInputs(in); err != nil {
		return err
	}
	say := func(message string) {
		if p.options.Progress != nil {
			p.options.Progress(in, message)
		}
	}
	dir, remove, err := p.modelDir(in.Model, modelDir)
	if err != nil {
		return err
	}
	defer remove()
	ctx, cancel := p.pool.bind(ctx)
	defer cancel()
	w, err := p.pool.acquire(ctx, tablesOf(in), say)
	if err != nil {
		return fmt.Errorf("starting AIConfigurator: %w", err)
	}
	defer p.pool.release(w)
	s := &session{in: in, worker: w, say: say}
	if err := s.read(ctx, dir); err != nil {
		return err
	}
	return answer(ctx, s)
}

// modelDir is findModel with a scratch directory that lives until remove.
func (p *Profiler) modelDir(model, given string) (dir string, remove func(), err error) {
	scratch := ""
	dir, err = findModel(model, given, p.options.ModelConfigs, func() (string, error) {
		var err error
		scratch, err = os.MkdirTemp("", "dynamo-model-")
		return scratch, err
	})
	remove = func() {
		if scratch != "" {
			_ = os.RemoveAll(scratch)
		}
	}
	if err != nil {
		remove()
	}
	return dir, remove, err
}

// checkInputs refuses what AIConfigurator would answer with an obscure error.
func checkInputs(in profile.Inputs) error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"workload.isl", in.Workload.ISL},
		{"workload.osl", in.Workload.OSL},
		{"hardware.totalGpus", in.Hardware.TotalGPUs},
		{"hardware.numGpusPerNode", in.Hardware.GPUsPerNode},
	} {
		if f.value < 1 {
			return fmt.Errorf("%s is %d: must be at least 1", f.name, f.value)
		}
	}
	if in.Hardware.TotalGPUs < 2 && needsRoles(in) {
		return fmt.Errorf("hardware.totalGpus is 1: separate prefill and decode engines, which planner, mocker and thorough ask for, need at least 2")
	}
	return nil
}

// needsRoles reports whether the pick must have prefill and decode engines.
func needsRoles(in profile.Inputs) bool {
	return in.Disaggregated || in.Picking == profile.PickAutoscale || in.Strategy == profile.StrategyThorough
}

// tablesOf names the performance tables that a sweep over the inputs loads.
func tablesOf(in profile.Inputs) []string {
	var tables []string
	for _, b := range backendsOf(in.Backend) {
		tables = append(tables, in.Hardware.System+"/"+string(b))
	}
	return tables
}

// backendsOf lists what a backend of a request stands for, in the order of
// preference where only one can be taken.
func backendsOf(b profile.Backend) []profile.Backend {
	if b == profile.BackendAuto {
		return []profile.Backend{profile.BackendVLLM, profile.BackendSGLang, profile.BackendTRTLLM}
	}
	return []profile.Backend{b}
}
