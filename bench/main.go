// Command bench measures both commands beside what does the same work otherwise, in
// one run, and writes docs/performance.md with the goals that it is held against.
//
//	make bench          everything; an hour
//	make bench-short    small sizes: that all of them answer the same
//
// Before anything is timed its output is compared; a difference is the one failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// bench is one run.
type bench struct {
	scratch      string
	environ      []string // of this process, before it had a scratch
	sizes        []int
	short        bool
	python       string // with AIConfigurator
	dynamoPython string // with Dynamo
	profiles     int    // how many requests both profilers answer
	sample       *sample
	fleets       map[int]*fleet
	report       report
}

func main() {
	if len(os.Args) > 2 && (os.Args[1] == measuring || os.Args[1] == measuringTree) {
		os.Exit(measured())
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// section is a part of the run.
type section struct {
	name string
	run  func(context.Context) error
}

func run() error {
	b := &bench{fleets: map[int]*fleet{}}
	page := flag.String("o", "docs/performance.md", "page to write; plots go beside it")
	data := flag.String("json", "dist/bench.json", "figures to write; those of sections that are not run stay")
	only := flag.String("run", "", "sections to run, of render,fleet,review,store,profile,thorough (empty: all)")
	flag.BoolVar(&b.short, "short", false, "small sizes, and write nothing")
	flag.StringVar(&b.python, "python", os.Getenv("DYNAMO_CMP_PYTHON"), "a Python with AIConfigurator")
	flag.StringVar(&b.dynamoPython, "dynamo", os.Getenv("DYNAMO_CMP_DYNAMO"), "a Python with Dynamo's profiler")
	flag.IntVar(&b.profiles, "profiles", 40, "requests that both profilers answer")
	flag.Parse()
	b.sizes = []int{1, 10, 100, 1000}
	if b.short {
		b.sizes, b.profiles = []int{1, 10}, 1
	}
	sections := []section{{"render", b.render}, {"fleet", b.runner}, {"review", b.review}, {"store", b.store}, {"profile", b.profile}, {"thorough", b.thorough}}
	ctx := context.Background()
	// Before prepare, which says what machine and peers this run has.
	if err := b.report.read(*data); err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	for _, s := range sections {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.name) {
			continue
		}
		b.report.begin(s.name)
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if !b.short {
			if err := b.report.write(*page, *data); err != nil {
				return err
			}
		}
	}
	if b.short {
		return nil
	}
	_, err := fmt.Print(b.report.page())
	return err
}

// prepare builds both commands, and reads what fleets are made of.
func (b *bench) prepare(ctx context.Context) error {
	var err error
	if b.scratch, err = os.MkdirTemp("", "dynamo-cmp-bench-"); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.scratch+"/", "./cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the commands: %w: %s", err, out)
	}
	for _, python := range []*string{&b.python, &b.dynamoPython} {
		if *python != "" {
			if *python, err = filepath.Abs(*python); err != nil {
				return err
			}
		}
	}
	b.environ = os.Environ()
	// What is warm in a measurement was warmed by it.
	if err := os.Setenv("XDG_CACHE_HOME", filepath.Join(b.scratch, "cache")); err != nil {
		return err
	}
	b.report.Machine = machine()
	b.report.Versions = b.versions()
	b.sample, err = readSample(ctx)
	return err
}

// tool is one of our commands.
func (b *bench) tool(name string) string { return filepath.Join(b.scratch, name) }

// peer is a command that does the same work otherwise.
func (b *bench) peer(name string) (string, error) {
	bin, err := exec.LookPath(name)
	if err != nil {
		return "", errNoPeer
	}
	return bin, nil
}

// skip says that a comparison is left out.
func (b *bench) skip(name string) {
	fmt.Fprintf(os.Stderr, "%s is left out: %v\n", name, errNoPeer)
}

// measure times processes that do the same work of size n, ours first.
func (b *bench) measure(work string, n int, names []string, processes []process) error {
	if b.short {
		return nil
	}
	all, err := alternate(runs(n), processes...)
	if err != nil {
		return err
	}
	for i, name := range names {
		b.report.add(row{Work: work, N: n, Tool: name, Runs: len(all[i]), Usage: median(all[i])})
	}
	return nil
}

// versions are those of the peers.
func (b *bench) versions() []string {
	var all []string
	for _, v := range [][]string{
		{"kustomize", "kustomize", "version"},
		{"Helm", "helm", "version", "--short"},
		{"crane", "crane", "version"},
		{"registry", "registry", "--version"},
		{"Dynamo", b.dynamoPython, "-c", "import importlib.metadata as m; print(m.version('ai-dynamo'))"},
		{"AIConfigurator", b.python, "-c", "import importlib.metadata as m; print(m.version('aiconfigurator'))"},
	} {
		if out, err := exec.Command(v[1], v[2:]...).Output(); err == nil || !errors.Is(err, exec.ErrNotFound) {
			if words := strings.Fields(string(out)); len(words) > 0 {
				all = append(all, v[0]+" "+words[len(words)-1])
			}
		}
	}
	return all
}
