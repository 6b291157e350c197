package thorough

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Target is a served model.
type Target struct {
	URL       string // of the frontend, without a path
	Model     string // the name that it is served under
	Tokenizer string // a directory, or a model of the Hugging Face Hub
}

// AIPerf measures served models with the command of the same name, one process
// for each load. The zero value runs the aiperf of PATH.
type AIPerf struct {
	Command []string // the program and what stands before its sub-command; empty for aiperf
	Dir     string   // where scratch directories are made; empty for the system's

	patience func(Load) patience // another than patienceFor, in tests
}

// Load is what one process of AIPerf asks of a target. Prompts and answers have
// exactly ISL and OSL tokens.
type Load struct {
	ISL, OSL    int
	Concurrency int
	Requests    int // measured
	WarmUp      int // before them, not measured
	Prompts     int // distinct ones; warm-up and measurement take them in turn
}

const (
	prefillOSL    = 5 // Dynamo's, in prefill measurements
	prefillRepeat = 3 // requests, of which the median counts; Dynamo takes one
	burstWaves    = 4 // requests for each attention rank in a burst, as Dynamo sends them
	warmUp        = 3 // requests for each attention rank, as Dynamo sends them
	tries         = 3 // of a load, before it counts as one that cannot be measured

	requestTimeout = 30 * time.Minute // Dynamo's, of one request
)

// PrefillLoad measures time to first token: one request after the other, or with
// attention data parallelism (dp > 1) one burst of four for each rank. No prompt is
// sent twice, so no cached prefix is measured.
func PrefillLoad(isl, dp int) Load {
	l := Load{ISL: isl, OSL: prefillOSL, Concurrency: 1, Requests: prefillRepeat, WarmUp: warmUp * dp}
	if dp > 1 {
		l.Concurrency, l.Requests = burstWaves*dp, burstWaves*dp
	}
	l.Prompts = l.WarmUp + l.Requests
	return l
}

// DecodeLoad measures decoding at a concurrency. The warm-up sends every prompt, so
// that the measured requests find their prefixes cached, for which Dynamo runs
// AIPerf twice.
func DecodeLoad(isl, osl, concurrency, dp int) Load {
	rounds := max(1, (warmUp*dp+concurrency-1)/concurrency)
	return Load{ISL: isl, OSL: osl, Concurrency: concurrency, Requests: concurrency, WarmUp: rounds * concurrency, Prompts: concurrency}
}

// Name tells a load from others on the same target, as a file name.
func (l Load) Name() string {
	return fmt.Sprintf("isl%d_osl%d_n%d", l.ISL, l.OSL, l.Concurrency)
}

// seed makes AIPerf's prompts the same each time, and others for other loads.
func (l Load) seed() uint32 {
	sum := fnv.New32a()
	fmt.Fprint(sum, l.Name())
	return sum.Sum32() % 1_000_000
}

// Measure measures a load and returns AIPerf's exports beside, named for the load.
// A failed try is repeated twice; then the load counts as one that cannot be
// measured, and the error says what the last try met.
func (a *AIPerf) Measure(ctx context.Context, target Target, load Load) (Measurement, []profile.File, error) {
	var last error
	for range tries {
		m, files, err := a.measure(ctx, target, load)
		switch {
		case err == nil:
			return m, files, nil
		case ctx.Err() != nil:
			return Measurement{}, nil, fmt.Errorf("measuring %s: %w", load.Name(), context.Cause(ctx))
		case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return Measurement{}, nil, fmt.Errorf("%w; to install it: pip install aiperf==%s", err, testedVersion)
		}
		last = err
	}
	return Measurement{}, nil, fmt.Errorf("measuring %s: %d tries: %w", load.Name(), tries, last)
}

// measure runs AIPerf once, in a directory that is gone afterwards.
func (a *AIPerf) measure(ctx context.Context, target Target, load Load) (Measurement, []profile.File, error) {
	scratch, err := os.MkdirTemp(a.Dir, "aiperf-")
	if err != nil {
		return Measurement{}, nil, fmt.Errorf("scratch directory: %v", err)
	}
	defer os.RemoveAll(scratch)
	command := a.Command
	if len(command) == 0 {
		command = []string{"aiperf"}
	}
	artifacts := filepath.Join(scratch, "artifacts")
	cmd := exec.Command(command[0], slices.Concat(command[1:], arguments(target, load, artifacts))...)
	cmd.Dir, cmd.Env = scratch, environment(os.Environ(), target.Tokenizer)
	limits := a.patience
	if limits == nil {
		limits = patienceFor
	}
	if err := run(ctx, cmd, filepath.Join(artifacts, recordsFile), limits(load)); err != nil {
		return Measurement{}, nil, err
	}
	return readExport(artifacts, load)
}

// arguments are those of Dynamo 1.5 (profiler/utils/aiperf.py), and
// --use-server-token-count: AIPerf's own count of random text is some percent too
// high, which makes latency between tokens as much too low.
func arguments(target Target, load Load, artifacts string) []string {
	osl := strconv.Itoa(load.OSL)
	return []string{"profile",
		"--model", target.Model,
		"--tokenizer", target.Tokenizer,
		"--endpoint-type", "chat",
		"--endpoint", "/v1/chat/completions",
		"--streaming",
		"--url", target.URL,
		"--extra-inputs", "ignore_eos:true",
		"--extra-inputs", "max_tokens:" + osl,
		"--extra-inputs", "min_tokens:" + osl,
		"--synthetic-input-tokens-mean", strconv.Itoa(load.ISL),
		"--synthetic-input-tokens-stddev", "0",
		"--output-tokens-mean", osl,
		"--output-tokens-stddev", "0",
		"--concurrency", strconv.Itoa(load.Concurrency),
		"--request-count", strconv.Itoa(load.Requests),
		"--warmup-request-count", strconv.Itoa(load.WarmUp),
		"--num-dataset-entries", strconv.Itoa(load.Prompts),
		"--random-seed", strconv.FormatUint(uint64(load.seed()), 10),
		"--request-timeout-seconds", strconv.Itoa(int(requestTimeout.Seconds())),
		"--use-server-token-count",
		"--artifact-dir", artifacts,
	}
}

// environment is AIPerf's: the runner's own, but for settings of AIPerf that would
// change what is measured. Offline, AIPerf 0.13 takes a tokenizer's directory for a
// name on the Hub; given a directory it uses no network anyway.
func environment(environ []string, tokenizer string) []string {
	info, err := os.Stat(tokenizer)
	local := err == nil && info.IsDir()
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		offline := strings.HasPrefix(kv, "HF_HUB_OFFLINE=") || strings.HasPrefix(kv, "TRANSFORMERS_OFFLINE=")
		python := strings.HasPrefix(kv, "PYTHON") && !strings.HasPrefix(kv, "PYTHONPYCACHEPREFIX=")
		return strings.HasPrefix(kv, "AIPERF_") || python || local && offline
	})
	return append(env, "PYTHONUTF8=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1")
}
