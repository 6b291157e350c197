package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// row is one figure.
type row struct {
	Section string
	Work    string
	N       int // size of the work
	Tool    string
	Runs    int // of which Usage is the median
	Usage   usage
	Note    string `json:",omitempty"`
}

// report collects the figures of a run.
type report struct {
	section  string
	Machine  string
	Versions []string          // of the peers
	Load     map[string]string // of the machine, when a section began
	Rows     []row
	Goals    []goal
}

// goal is what a figure is held against.
type goal struct {
	Section string
	Text    string
	Found   string
	Met     bool
}

// begin forgets what an earlier run found in a section.
func (r *report) begin(section string) {
	r.section = section
	r.Rows = slices.DeleteFunc(r.Rows, func(x row) bool { return x.Section == section })
	r.Goals = slices.DeleteFunc(r.Goals, func(x goal) bool { return x.Section == section })
	if r.Load == nil {
		r.Load = map[string]string{}
	}
	r.Load[section] = load()
}

func (r *report) add(x row) {
	x.Section = r.section
	r.Rows = append(r.Rows, x)
	fmt.Fprintf(os.Stderr, "%s %d: %s: %s, %s CPU, %.0f MiB %s\n", x.Work, x.N, x.Tool, seconds(x.Usage.Wall), seconds(x.Usage.CPU), x.Usage.Peak, x.Note)
}

func (r *report) goal(met bool, text, found string, args ...any) {
	r.Goals = append(r.Goals, goal{r.section, text, fmt.Sprintf(found, args...), met})
}

// find is the figure of a tool, zero where there is none.
func (r *report) find(work string, n int, tool string) usage {
	for _, x := range r.Rows {
		if x.Work == work && x.N == n && x.Tool == tool {
			return x.Usage
		}
	}
	return usage{}
}

// read takes the figures of an earlier run over.
func (r *report) read(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, r)
}

// write makes the page, the plots and the file of figures.
func (r *report) write(page, data string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFiles(filepath.Dir(data), map[string][]byte{filepath.Base(data): append(text, '\n')}); err != nil {
		return err
	}
	if err := r.plots(filepath.Dir(page)); err != nil {
		return err
	}
	return os.WriteFile(page, []byte(r.page()), 0o644)
}

// machine describes what this runs on, without its name.
func machine() string {
	model, memory := "unknown CPU", ""
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(data), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int
		fmt.Sscanf(string(data), "MemTotal: %d", &kib)
		memory = fmt.Sprintf("%d GiB", kib>>20)
	}
	return fmt.Sprintf("%d cores (%s), %s of memory, %s, %s/%s", runtime.NumCPU(), model, memory, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// load is what else the machine has to do.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(data), " ")
	return first
}
