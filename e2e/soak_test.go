package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manyApps is a repository with as many applications as asked, in one store.
func manyApps(t *testing.T, apps int) (repo string, names []string) {
	t.Helper()
	repo = repository(t)
	source := filepath.Join(repo, "apps", "qwen-small")
	for i := range apps {
		name := fmt.Sprintf("qwen-%03d", i)
		dir := filepath.Join(repo, "apps", name)
		require.NoError(t, os.Mkdir(dir, 0o755))
		for _, file := range []string{"dgdr.yaml", "dynamo.lock"} {
			data, err := os.ReadFile(filepath.Join(source, file))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(strings.ReplaceAll(string(data), "name: qwen-small", "name: "+name)), 0o644))
		}
		names = append(names, name)
	}
	return repo, names
}

// TestSoak has fifty callers render five hundred applications, over and over: none gets
// an error or another's manifests, and the server's memory stays flat. It lasts ten
// minutes with FULL=1, else a quarter of one.
func TestSoak(t *testing.T) {
	const apps, callers = 500, 50
	lasts := 15 * time.Second
	if full() {
		lasts = 10 * time.Minute
	}
	s := startServer(t, "plugin.yaml", "DYNAMO_CMP_TIMEOUT=5m")
	repo, names := manyApps(t, apps)

	over, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	next := make(chan string)
	go func() {
		defer close(next)
		for i := 0; ; i++ {
			select {
			case next <- names[i%apps]:
			case <-over.Done():
				return
			}
		}
	}()
	var mu sync.Mutex
	var problems []string
	rendered := 0
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for name := range next {
				manifests, err := s.generate(t.Context(), repo, name)
				mu.Lock()
				rendered++
				if err != nil {
					problems = append(problems, fmt.Sprintf("%s: %v", name, err))
				} else if len(manifests) == 0 || !strings.Contains(manifests[0], `"name":"`+name+`-dgd"`) {
					problems = append(problems, fmt.Sprintf("%s got %q", name, manifests))
				}
				mu.Unlock()
			}
		})
	}
	held := s.watchMemory(over, lasts/30)
	group.Wait()
	t.Logf("%d renders in %s; the server held MiB: %v", rendered, lasts, held)
	require.Empty(t, problems)
	require.GreaterOrEqual(t, rendered, callers)
	if full() {
		third := len(held) / 3
		require.Less(t, slices.Max(held[2*third:]), slices.Max(held[:2*third])*5/4, "the server's memory grows: %v", held)
	}
	require.Empty(t, plugins(s.PID()), "a plugin still runs")
	require.Empty(t, filesBelow(t, s.Work), "a work tree is still there")
}

// watchMemory is what the server holds, in MiB, at every tick until the context ends.
func (s server) watchMemory(ctx context.Context, every time.Duration) (held []int) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return held
		case <-ticker.C:
			held = append(held, residentKiB(s.PID())/1024)
		}
	}
}
