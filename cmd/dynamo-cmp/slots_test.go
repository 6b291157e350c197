package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// holdSlot is a process that holds one of N slots of DIR (arguments 1 and 2). It
// prints the highest number of holders that it saw, by their files in WATCH
// (argument 3), and holds on until its input ends.
func holdSlot() {
	n, err := strconv.Atoi(os.Args[2])
	must(err)
	release, err := takeSlot(context.Background(), os.Args[1], n)
	must(err)
	mine := filepath.Join(os.Args[3], strconv.Itoa(os.Getpid()))
	must(os.WriteFile(mine, nil, 0o644))
	most := 0
	for range 200 {
		holders, err := os.ReadDir(os.Args[3])
		must(err)
		most = max(most, len(holders))
	}
	fmt.Println(most)
	_, err = io.Copy(io.Discard, os.Stdin)
	must(err)
	must(os.Remove(mine))
	release()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// However many processes there are, no more than N hold a slot, and all get one.
func TestSlotsBoundProcesses(t *testing.T) {
	const n, processes = 3, 24
	dir, watch := filepath.Join(t.TempDir(), "slots"), t.TempDir()
	outs := make([]*strings.Builder, processes)
	cmds := make([]*exec.Cmd, processes)
	for i := range cmds {
		outs[i] = &strings.Builder{}
		cmds[i] = exec.Command("hold-slot", dir, strconv.Itoa(n), watch)
		cmds[i].Stdout = outs[i]
		require.NoError(t, cmds[i].Start())
	}
	most := 0
	for i, cmd := range cmds {
		require.NoError(t, cmd.Wait())
		saw, err := strconv.Atoi(strings.TrimSpace(outs[i].String()))
		require.NoError(t, err)
		require.LessOrEqual(t, saw, n)
		most = max(most, saw)
	}
	require.Greater(t, most, 1, "the processes ran one after the other: nothing was tested")
}

// A slot outlives nobody: the kernel frees it when its holder is killed.
func TestSlotOfKilledProcess(t *testing.T) {
	dir, watch := filepath.Join(t.TempDir(), "slots"), t.TempDir()
	holder := exec.Command("hold-slot", dir, "1", watch)
	stdin, err := holder.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	_, err = stdout.Read(make([]byte, 1)) // it holds the slot now
	require.NoError(t, err)

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = takeSlot(short, dir, 1)
	require.EqualError(t, err, "waiting while 1 other renders run: context deadline exceeded; to allow more at once: DYNAMO_CMP_MAX_CONCURRENT")

	require.NoError(t, holder.Process.Kill())
	_ = holder.Wait()
	release, err := takeSlot(t.Context(), dir, 1)
	require.NoError(t, err)
	release()
}

// Without a directory to write to there is no bound, and no error.
func TestSlotsWithoutDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, dir := range []string{"", filepath.Join(file, "slots"), "/proc/slots"} {
		for range 3 {
			_, err := takeSlot(t.Context(), dir, 1)
			require.NoError(t, err)
		}
	}
}
