package rapid

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// ImportTables makes a result of what AIConfigurator's command line wrote with
// --save-dir: a directory that holds agg or disagg, or that holds one such somewhere
// below. Rows, pick and predictions are taken as they are; the engines' flags are
// generated from the saved configurations, and the model is read here.
//
// The directory has to be an answer to the inputs: the same model, system, backend,
// GPUs, lengths and targets. It does not say what load or which planner it is for, so
// only the default picking can be imported.
func (p *Profiler) ImportTables(ctx context.Context, in profile.Inputs, modelDir, saved string) (res *profile.Result, files []profile.File, err error) {
	if in.Strategy != profile.StrategyRapid {
		return nil, nil, fmt.Errorf("searchStrategy %s is answered by measuring; an output directory of AIConfigurator holds a simulation", in.Strategy)
	}
	if in.Picking != profile.PickDefault {
		return nil, nil, fmt.Errorf("the request is picked for by the %s rule, for which an output directory of AIConfigurator lacks the load or the planner's engines", in.Picking)
	}
	found, err := findOutput(os.DirFS(saved))
	if err != nil {
		return nil, nil, err
	}
	dir := os.DirFS(filepath.Join(saved, found)) // fs.Sub would open a file to look at it
	err = p.session(ctx, in, modelDir, func(ctx context.Context, s *session) error {
		res, files, err = s.importTables(ctx, dir)
		return err
	})
	return res, files, err
}

// The files of an output directory (AIConfigurator: cli/report_and_save.py).
const (
	rankingFile   = "best_config_topn.csv"
	paretoFile    = "pareto.csv"
	searchFile    = "exp_config.yaml"
	generatorFile = "generator_config.yaml"
)

var modes = []profile.Mode{profile.Aggregated, profile.Disaggregated}

// findOutput is the one directory of results in a save directory.
func findOutput(root fs.FS) (string, error) {
	var found []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		parent := path.Dir(name)
		if path.Base(name) == rankingFile && slices.Contains(modes, profile.Mode(path.Base(parent))) && !slices.Contains(found, path.Dir(parent)) {
			found = append(found, path.Dir(parent))
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("is no output directory of AIConfigurator: it holds no agg/%s and no disagg/%s", rankingFile, rankingFile)
	case len(found) > 1:
		return "", fmt.Errorf("holds %d outputs of AIConfigurator; name one: %s", len(found), strings.Join(found, ", "))
	}
	return found[0], nil
}

func (s *session) importTables(ctx context.Context, dir fs.FS) (*profile.Result, []profile.File, error) {
	out := outcome{Best: map[profile.Mode][]ranked{}, Pareto: map[profile.Mode][]row{}, Files: map[string]string{}}
	s.backend = s.in.Backend
	best := 0.0
	for _, mode := range modes {
		if _, err := fs.Stat(dir, path.Join(string(mode), rankingFile)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.checkSearch(dir, string(mode)); err != nil {
			return nil, nil, err
		}
		if err := s.importMode(ctx, dir, mode, &out); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", mode, err)
		}
		// AIConfigurator's choice is not saved: it is the higher throughput of the cluster
		// (its cli/main.py), the first of equals.
		if rows := out.Best[mode]; len(rows) > 0 && rows[0].Row.num("tokens/s/gpu_cluster") > best {
			best, out.Chosen = rows[0].Row.num("tokens/s/gpu_cluster"), string(mode)
		}
	}
	mode := s.choose(out)
	if len(out.Best[mode]) == 0 {
		return nil, nil, fmt.Errorf("ranks no %s configuration, which the request needs", cmp.Or(mode, "deployable"))
	}
	if r := out.Best[mode][0].Row; !s.meets(r) {
		return nil, nil, fmt.Errorf("its best configuration misses the SLA: ttft %g ms, itl %g ms", r.num("ttft"), r.num("tpot"))
	}
	res, err := s.conclude(out, mode)
	if err != nil {
		return nil, nil, err
	}
	res.Provenance.Claims = res.Confidence
	s.imported(res, profile.SourceAIConfigurator, "unknown", "taken over from an output directory of AIConfigurator")
	return res, files(out.Files), nil
}

// imported marks a result as one. The version is that of the tool that made the
// source, which its files may not tell.
func (s *session) imported(res *profile.Result, source, version, reason string) {
	res.Reason = strings.TrimSuffix(reason+"; "+res.Reason, "; ")
	res.Confidence, res.Provenance.Source, res.Provenance.ToolVersion = profile.Imported, source, version
}

// importMode reads the ranking of a mode, the flags of its engines, and the points
// of the sweep.
func (s *session) importMode(ctx context.Context, dir fs.FS, mode profile.Mode, out *outcome) error {
	read := func(name, keep string) ([]row, error) {
		data, err := readFile(dir, path.Join(string(mode), name))
		if err != nil {
			return nil, err
		}
		rows, err := readRows(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out.Files[keep+"_"+string(mode)+".csv"] = string(data)
		return rows, nil
	}
	rows, err := read(rankingFile, "best")
	if err != nil {
		return err
	}
	for i, r := range rows {
		one := ranked{Row: r, Backend: profile.Backend(cmp.Or(r.text("backend"), r.text("(d)backend"))), Version: cmp.Or(r.text("version"), r.text("(d)version"))}
		config := map[string]any{}
		name := path.Join(string(mode), fmt.Sprintf("top%d", i+1), generatorFile)
		if err := readYAML(dir, name, &config); err != nil {
			return err
		}
		node, _ := config["NodeConfig"].(map[string]any)
		if got := fmt.Sprint(node["num_gpus_per_node"]); got != strconv.Itoa(s.in.Hardware.GPUsPerNode) {
			return fmt.Errorf("%s: NodeConfig.num_gpus_per_node is %s, the request has hardware.numGpusPerNode %d", name, got, s.in.Hardware.GPUsPerNode)
		}
		params := map[string]any{"config": config, "backend": one.Backend, "version": one.Version}
		if err := s.call(ctx, "flags", params, &one.Args); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out.Best[mode] = append(out.Best[mode], one)
	}
	points, err := read(paretoFile, "pareto")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	out.Pareto[mode] = points
	return err
}

// checkSearch holds what was searched for against the inputs.
func (s *session) checkSearch(dir fs.FS, mode string) error {
	names := []string{searchFile}
	if s.in.Backend == profile.BackendAuto {
		names = nil
		for _, b := range backendsOf(s.in.Backend) {
			if name := string(b) + "_" + searchFile; exists(dir, path.Join(mode, name)) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return fmt.Errorf("%s: was not searched for backend auto, which the request asks for", mode)
		}
	}
	for _, name := range names {
		name = path.Join(mode, name)
		search := map[string]any{}
		if err := readYAML(dir, name, &search); err != nil {
			return err
		}
		database, err := s.compare(search, strings.TrimSuffix(path.Base(name), searchFile))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.database = database
	}
	return nil
}

// compare returns the kind of tables of a search that is for the inputs.
func (s *session) compare(search map[string]any, backend string) (database string, err error) {
	in := s.in
	prefix := ""
	if search["serving_mode"] == "disagg" {
		prefix = "decode_"
	}
	type fact struct {
		field string
		want  any
	}
	facts := []fact{
		{prefix + "model_path", in.Model}, {prefix + "system_name", in.Hardware.System},
		{prefix + "backend_name", cmp.Or(strings.TrimSuffix(backend, "_"), string(in.Backend))},
		{"isl", in.Workload.ISL}, {"osl", in.Workload.OSL}, {"total_gpus", in.Hardware.TotalGPUs},
		{"prefix", 0}, {"nextn", 0}, {"image_height", 0}, {"enable_epd", false},
	}
	if in.SLA.E2ELatencyMillis > 0 {
		facts = append(facts, fact{"request_latency", in.SLA.E2ELatencyMillis})
	} else {
		facts = append(facts, fact{"request_latency", nil}, fact{"ttft", in.SLA.TTFTMillis}, fact{"tpot", in.SLA.ITLMillis})
	}
	for _, f := range facts {
		if got := search[f.field]; fmt.Sprint(got) != fmt.Sprint(f.want) && (got != nil || f.want != false) {
			return "", fmt.Errorf("%s is %v, the request has %v", f.field, got, f.want)
		}
	}
	return strings.ToLower(fmt.Sprint(search["database_mode"])), nil
}

func exists(dir fs.FS, name string) bool {
	_, err := fs.Stat(dir, name)
	return err == nil
}

// maxFile bounds a file of a user's that is read here.
const maxFile = 16 << 20

// readFile reads a regular file; the open of a named pipe would wait for a writer.
func readFile(dir fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: is %d bytes, more than the %d allowed", name, info.Size(), maxFile)
	}
	return fs.ReadFile(dir, name)
}

func readYAML(dir fs.FS, name string, into *map[string]any) error {
	data, err := readFile(dir, name)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readRows reads a table as worker.py answers one: numbers as numbers.
func readRows(data []byte) ([]row, error) {
	if !utf8.Valid(data) { // JSON would hold other bytes than these
		return nil, errors.New("is not UTF-8 text")
	}
	lines, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, errors.New("is empty")
	}
	var rows []row
	for _, line := range lines[1:] {
		r := row{}
		for i, value := range line {
			column := lines[0][i]
			n, err := strconv.ParseFloat(value, 64)
			switch {
			case value == "" || err == nil && (math.IsNaN(n) || math.IsInf(n, 0)):
			case err == nil && !strings.HasSuffix(column, "version"): // 1.3 is one
				r[column] = n
			default:
				r[column] = value
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}
