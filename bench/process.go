package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a command that is measured as a whole.
type process struct {
	argv  []string
	dir   string
	env   []string // beside that of this process
	fails int      // an exit status that is an answer, and no failure
	slow  bool     // one run is enough
	tree  bool     // the peak is that of all its processes at once
	reset func() error
}

// usage is what one run took.
type usage struct {
	Wall time.Duration
	CPU  time.Duration // user and system, of the process and those that it waited for
	Own  time.Duration // of it, without those
	Peak float64       // MiB, of the largest of them or of all at once
}

// measuring is the first argument of the process that stands between: what the
// kernel reports as the peak of a child begins with the memory of its parent, and
// that of this program holds fixtures.
const (
	measuring     = "-measure"
	measuringTree = "-measure-tree"
)

// measured runs the command in os.Args and reports on file descriptor 3.
func measured() int {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	peak := make(chan float64, 1)
	end := make(chan struct{})
	if os.Args[1] == measuringTree {
		go func() { peak <- treePeak(cmd.Process.Pid, end) }()
	}
	// It ends here, and is there to be asked until it is waited for.
	err = unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	wall := time.Since(start)
	own := ownTime(cmd.Process.Pid)
	if err := errors.Join(err, cmd.Wait()); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	rusage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	close(end)
	u := usage{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), own, float64(rusage.Maxrss) / 1024}
	if os.Args[1] == measuringTree {
		u.Peak = <-peak
	}
	if err := json.NewEncoder(os.NewFile(3, "usage")).Encode(u); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	return cmd.ProcessState.ExitCode()
}

// treePeak is the most memory that a process and its descendants had together, in MiB.
// What they share counts once.
func treePeak(pid int, end <-chan struct{}) float64 {
	var peak float64
	for {
		peak = max(peak, treeMemory(pid))
		select {
		case <-end:
			return peak
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func treeMemory(pid int) float64 {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		if fields := statFields(stat); len(fields) > 1 {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			parents[child], _ = strconv.Atoi(fields[1])
		}
	}
	var mib float64
	for child := range parents {
		for at := child; at != 0; at = parents[at] {
			if at == pid {
				mib += memory(child)
				break
			}
		}
	}
	return mib
}

// memory is that of one process, zero where it has ended.
func memory(pid int) float64 {
	var kib float64
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	_, rest, _ := strings.Cut(string(data), "\nPss:")
	_, _ = fmt.Sscan(rest, &kib)
	return kib / 1024
}

// statFields are the fields of a stat file of proc(5) from the state on, nil where the
// process has ended.
func statFields(file string) []string {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name may hold anything but this
	return strings.Fields(rest)
}

// ownTime is the CPU time of a process without its children's.
func ownTime(pid int) time.Duration {
	const utime, stime, ticks = 11, 12, 100
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if len(fields) <= stime {
		return 0
	}
	user, _ := strconv.Atoi(fields[utime])
	system, _ := strconv.Atoi(fields[stime])
	return time.Duration(user+system) * time.Second / ticks
}

// run runs the process once and returns what it printed.
func (p process) run() ([]byte, usage, error) {
	if p.reset != nil {
		if err := p.reset(); err != nil {
			return nil, usage{}, err
		}
	}
	report, end, err := os.Pipe()
	if err != nil {
		return nil, usage{}, err
	}
	defer report.Close()
	how := measuring
	if p.tree {
		how = measuringTree
	}
	cmd := exec.Command("/proc/self/exe", append([]string{how}, p.argv...)...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.ExtraFiles = []*os.File{end}
	err = cmd.Run()
	end.Close()
	if p.fails != 0 && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == p.fails {
		err = nil
	}
	if err != nil {
		text := stderr.String()
		return nil, usage{}, fmt.Errorf("%s: %w: %s", strings.Join(p.argv, " "), err, text[max(0, len(text)-2000):])
	}
	var u usage
	return stdout.Bytes(), u, json.NewDecoder(report).Decode(&u)
}

// alternate runs the processes in turn, n times, and returns the figures of each:
// what else the machine does falls on all of them.
func alternate(n int, processes ...process) ([][]usage, error) {
	all := make([][]usage, len(processes))
	for round := range n {
		for i, p := range processes {
			if p.slow && round > 0 {
				continue
			}
			_, u, err := p.run()
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], u)
		}
	}
	return all, nil
}

// median is that of each figure by itself.
func median(runs []usage) usage {
	var wall, cpu, own []time.Duration
	var peak []float64
	for _, u := range runs {
		wall, cpu, own, peak = append(wall, u.Wall), append(cpu, u.CPU), append(own, u.Own), append(peak, u.Peak)
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	slices.Sort(own)
	slices.Sort(peak)
	mid := len(runs) / 2
	return usage{wall[mid], cpu[mid], own[mid], peak[mid]}
}

// runs is how often a work of size n is measured.
func runs(n int) int {
	switch {
	case n == 1:
		return 9
	case n <= 10:
		return 5
	}
	return 3
}
