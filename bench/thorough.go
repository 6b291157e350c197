package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// thorough measures what the runner adds to the engines that start and to AIPerf, on
// the control plane of the end-to-end tests: a test of theirs runs it and writes this.
func (b *bench) thorough(ctx context.Context) error {
	if b.short {
		return nil // make e2e-thorough holds what it answers
	}
	file := filepath.Join(b.scratch, "overhead.json")
	test := exec.CommandContext(ctx, "go", "test", "-C", "e2e", "-count=1", "-timeout", "30m", "-run", "^TestThoroughOverhead$", ".")
	test.Env = append(b.environ, "DYNAMO_CMP_OVERHEAD="+file)
	if out, err := test.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out[max(0, len(out)-2000):])
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		b.skip("the control plane of thorough searches")
		return nil
	}
	if err != nil {
		return err
	}
	var all []struct {
		Candidates     int
		Wall, Own, CPU time.Duration
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	for _, o := range all {
		b.report.add(row{Work: "thorough search", N: o.Candidates, Tool: "dynamo-profile-runner run", Runs: 1, Usage: usage{Wall: o.Wall}})
	}
	for _, o := range all {
		b.report.add(row{Work: "own part of that search", N: o.Candidates, Tool: "dynamo-profile-runner run", Runs: 1, Usage: usage{Wall: o.Own, CPU: o.CPU},
			Note: fmt.Sprintf("%s for each candidate", seconds(o.Own/time.Duration(o.Candidates)))})
	}
	return nil
}
