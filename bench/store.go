package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// store measures reads from a registry, writes to both kinds of store, and sweeps.
func (b *bench) store(ctx context.Context) error {
	registry, stop, err := b.registry(ctx)
	if errors.Is(err, errNoPeer) {
		b.skip("registry")
	} else if err != nil {
		return err
	} else {
		defer stop()
		sizes := []int{1, 10, 50, 200}
		if b.short {
			sizes = sizes[1:2]
		}
		for _, n := range sizes {
			if err := b.cold(ctx, registry, n); err != nil {
				return err
			}
		}
	}
	for _, n := range b.sizes {
		if err := b.puts(ctx, "put into a layout", n, "oci-layout:"+filepath.Join(b.scratch, fmt.Sprintf("puts-%d", n))); err != nil {
			return err
		}
	}
	for _, n := range b.sizes {
		if registry == "" {
			break
		}
		if err := b.puts(ctx, "put into a registry", n, fmt.Sprintf("%s/bench/puts-%d", registry, n)); err != nil {
			return err
		}
	}
	for _, n := range b.sizes {
		if err := b.sweep(ctx, 10*n); err != nil {
			return err
		}
	}
	return nil
}

// registry starts the distribution registry and returns its address.
func (b *bench) registry(ctx context.Context) (string, func(), error) {
	bin, err := b.peer("registry")
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address := l.Addr().String()
	l.Close()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q}\n",
		filepath.Join(b.scratch, "registry-data"), address)
	if err := writeFiles(b.scratch, map[string][]byte{"registry.yml": []byte(config)}); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, bin, "serve", filepath.Join(b.scratch, "registry.yml"))
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for range 300 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address, stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("the registry does not answer at %s", address)
}

// counter is a proxy that counts requests, and how many of them run at once.
type counter struct {
	proxy              http.Handler
	total, now, atOnce atomic.Int64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.total.Add(1)
	now := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.atOnce.Load(); now > most && !c.atOnce.CompareAndSwap(most, now); most = c.atOnce.Load() {
	}
	c.proxy.ServeHTTP(w, r)
}

// cold renders a fleet of n whose results are in a registry alone, without local copies.
func (b *bench) cold(ctx context.Context, registry string, n int) error {
	f, err := b.sample.build(ctx, filepath.Join(b.scratch, fmt.Sprintf("cold-%d", n)), registry+"/bench/profiles", n)
	if err != nil {
		return err
	}
	counted := &counter{proxy: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})}
	server := httptest.NewServer(counted)
	defer server.Close()
	store := server.Listener.Addr().String() + "/bench/profiles"
	copies := filepath.Join(b.scratch, "copies")
	fresh := func() error { return os.RemoveAll(copies) }
	ours := process{argv: []string{b.tool("dynamo-cmp"), "generate", f.dir, "--store", store, "--cache-dir", copies}, reset: fresh}
	want, _, err := ours.run()
	if err != nil {
		return err
	}
	trips, atOnce := counted.total.Load(), counted.atOnce.Load()
	warm := ours
	warm.reset = nil
	got, _, err := warm.run()
	if err != nil {
		return err
	}
	again := counted.total.Load() - trips
	if again > 0 {
		return fmt.Errorf("a warm render of %d results made %d requests", n, again)
	}
	if err := sameObjects(want, got); err != nil {
		return fmt.Errorf("warm and cold render: %w", err)
	}
	if n == 200 {
		b.report.goal(trips <= 2*int64(n)+1 && atOnce > 1, "cold render of 200 results: at most 2 round trips for each, in parallel",
			"%d requests for %d results (one more asks how to sign in), up to %d at once", trips, n, atOnce)
		b.report.goal(again == 0, "warm render: no network", "%d requests", again)
	}
	names, processes := []string{"dynamo-cmp generate, cold"}, []process{ours}
	if bin, err := b.peer("crane"); err == nil {
		argv := []string{bin, "pull", "--format", "oci"}
		for _, d := range f.results {
			argv = append(argv, store+"@"+string(d))
		}
		pulled := filepath.Join(b.scratch, "pulled")
		pull := process{argv: append(argv, pulled), reset: func() error { return os.RemoveAll(pulled) }}
		if _, _, err := pull.run(); err != nil {
			return err
		}
		names, processes = append(names, "crane pull"), append(processes, pull)
	}
	return b.measure("cold render", n, names, processes)
}

// puts times n writes of this process, one after the other as a runner makes them.
func (b *bench) puts(ctx context.Context, work string, n int, ref string) error {
	store, err := cache.Open(ref, cache.Options{})
	if err != nil {
		return err
	}
	start := time.Now()
	for i := range n {
		if _, err := store.Put(ctx, b.sample.resultOf(i), b.sample.files); err != nil {
			return err
		}
	}
	took := time.Since(start)
	for _, i := range []int{0, n - 1} {
		if _, err := store.Find(ctx, b.sample.resultOf(i).Inputs.Key()); err != nil {
			return err
		}
	}
	if !b.short {
		b.report.add(row{Work: work, N: n, Tool: "cache.Store.Put", Runs: 1, Usage: usage{Wall: took}})
	}
	return nil
}

// sweep has gc take what no lock names out of a layout of n results: nine of ten.
func (b *bench) sweep(ctx context.Context, n int) error {
	locked := n / 10
	f, err := b.sample.build(ctx, filepath.Join(b.scratch, fmt.Sprintf("gc-%d", n)), "", locked)
	if err != nil {
		return err
	}
	if err := f.commit(); err != nil {
		return err
	}
	layout := filepath.Join(b.scratch, fmt.Sprintf("swept-%d", n))
	if err := b.fill(ctx, layout, n); err != nil {
		return err
	}
	work := layout + "-work"
	gc := process{
		argv: []string{b.tool("dynamo-profile-runner"), "gc", "--store", "oci-layout:" + work, "--repo", f.repo, "--grace", "0", "--offline"},
		reset: func() error {
			if err := os.RemoveAll(work); err != nil {
				return err
			}
			return exec.Command("cp", "-r", layout, work).Run()
		},
	}
	if _, _, err := gc.run(); err != nil {
		return err
	}
	store, err := cache.Open("oci-layout:"+work, cache.Options{})
	if err != nil {
		return err
	}
	left, err := store.Artifacts(ctx)
	if err != nil {
		return err
	}
	if len(left) != locked {
		return fmt.Errorf("gc left %d results, and %d are locked", len(left), locked)
	}
	return b.measure("gc, nine of ten go", n, []string{"dynamo-profile-runner gc"}, []process{gc})
}

// fill makes a layout of n results out of small ones: a layout is written in time that
// grows with what is in it.
func (b *bench) fill(ctx context.Context, dir string, n int) error {
	const batch = 100
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	var index map[string]any
	var manifests []any
	for from := 0; from < n; from += batch {
		part := filepath.Join(b.scratch, "part")
		store, err := cache.Open("oci-layout:"+part, cache.Options{})
		if err != nil {
			return err
		}
		for i := from; i < min(n, from+batch); i++ {
			if _, err := store.Put(ctx, b.sample.resultOf(i), b.sample.files); err != nil {
				return err
			}
		}
		data, err := os.ReadFile(filepath.Join(part, "index.json"))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, &index); err != nil {
			return err
		}
		manifests = append(manifests, index["manifests"].([]any)...)
		index["manifests"] = manifests
		entries, err := os.ReadDir(filepath.Join(part, "blobs", "sha256"))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.Rename(filepath.Join(part, "blobs", "sha256", e.Name()), filepath.Join(blobs, e.Name())); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(part); err != nil {
			return err
		}
	}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return writeFiles(dir, map[string][]byte{"index.json": data, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)})
}
