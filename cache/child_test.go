package cache

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// childLimit bounds the files that a child writes, in bytes.
const childLimit = childEnv + "_FILE_SIZE"

// child is a writer in a process of its own. "put REF FROM TO" stores results,
// "lock DIR FROM TO" locks them one by one; both stop at the first error.
func child(role string, args []string) int {
	if limit, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ) // the write says it, as on a full disk
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit})
	}
	from, _ := strconv.Atoi(args[1])
	to, _ := strconv.Atoi(args[2])
	for i := from; i < to; i++ {
		var err error
		switch role {
		case "put":
			var s *Store
			if s, err = Open(args[0], Options{}); err == nil {
				_, err = s.Put(context.Background(), sample(i, "1"), bulky(i))
			}
		case "lock":
			err = UpdateLock(context.Background(), args[0], []LockEntry{lockEntry(i)})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// bulky is raw output large enough that a kill hits the middle of a write.
func bulky(i int) []profile.File {
	data := make([]byte, 256<<10)
	for k := range data {
		data[k] = byte(i + k)
	}
	return []profile.File{{Name: "raw.csv", MediaType: "text/csv", Data: data}}
}

func lockEntry(i int) LockEntry {
	return LockEntry{fmt.Sprintf("request-%03d", i), sample(i, "1").Inputs.Key(), digestOf([]byte{byte(i)}), profile.Simulated, "aiconfigurator 0.12.0", false, 0}
}

func startChild(t *testing.T, role, where string, from, to int) *exec.Cmd {
	t.Helper()
	cmd := childCommand(t, role, where, from, to)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

func childCommand(t *testing.T, role, where string, from, to int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, where, strconv.Itoa(from), strconv.Itoa(to))
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	return cmd
}
