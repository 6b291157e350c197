package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

func (d *doctor) cacheDir() {
	dir := d.options.cacheDir
	remedy := "mount a writable volume and set " + variable("cache-dir")
	if dir == "" {
		d.warn("cache", "there is none: every render reads the store, and any number of them run at once", remedy)
		return
	}
	at := dir
	for {
		_, err := os.Stat(at)
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
		d.fail("cache", fmt.Errorf("%s cannot be written: %w", dir, err), remedy)
		return
	}
	bound := "any number of"
	if n := d.options.slots(); n > 0 {
		bound = fmt.Sprint(n)
	}
	d.ok("cache", "%s is writable; %s renders at once", dir, bound)
}

// trustedKeys checks the keys that signatures are held against, where some are named.
func (d *doctor) trustedKeys() {
	keys, err := d.options.keys()
	switch {
	case err != nil:
		d.fail("keys", err, "mount public keys in PEM there, or correct "+variable("trusted-keys"))
	case keys != nil:
		d.ok("keys", "results must be signed by one of %s", keys)
	}
}

// sampleRequest is a request that every version can render.
const sampleRequest = `apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeploymentRequest
metadata: {name: sample}
spec:
  model: Qwen/Qwen3-0.6B
  backend: vllm
  hardware: {gpuSku: h200_sxm, totalGpus: 8, numGpusPerNode: 8}
`

func (d *doctor) sample() {
	start := time.Now()
	n, err := renderSample()
	if err != nil {
		d.fail("sample", err, "install this version again: "+version())
		return
	}
	d.ok("sample", "%d manifest of a built-in request in %s", n, since(start))
}

func renderSample() (int, error) {
	docs, err := profile.Documents("sample", []byte(sampleRequest))
	if err != nil {
		return 0, err
	}
	req, err := profile.Parse(docs[0], profile.Defaults{})
	if err != nil {
		return 0, err
	}
	objs, _, err := render.Manifests(req, render.Answer{Result: naive(req)})
	return len(objs), err
}

// sidecar checks the plugin of the cmp-server, where there is one.
func (d *doctor) sidecar(server string) {
	if _, err := os.Stat(server); err != nil {
		return
	}
	file := filepath.Join(server, "config", "plugin.yaml")
	name, err := readPlugin(file)
	if err != nil {
		d.fail("plugin", err, "mount plugin.yaml of this version there, and restart the pod: it is read once")
		return
	}
	d.ok("plugin", "Applications name it %s", name)
	socket := filepath.Join(server, "plugins", name+".sock")
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		d.fail("socket", err, "look at the log of the sidecar, and that it shares the volume of "+filepath.Dir(socket)+" with the repo-server")
		return
	}
	_ = conn.Close()
	d.ok("socket", "%s answers", socket)
}

// readPlugin returns the name by which Applications select the plugin of a file.
func readPlugin(file string) (string, error) {
	data, err := render.ReadFile(file)
	if err != nil {
		return "", err
	}
	var p struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct {
			Version  string
			Generate struct{ Command, Args []string }
		}
	}
	if err := yaml.Unmarshal(data, &p); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	argv := append(p.Spec.Generate.Command, p.Spec.Generate.Args...)
	switch {
	case p.Kind != "ConfigManagementPlugin" || p.Metadata.Name == "":
		return "", fmt.Errorf("%s: is no ConfigManagementPlugin with a name", file)
	case len(argv) < 2 || filepath.Base(argv[0]) != "dynamo-cmp" || argv[1] != "generate":
		return "", fmt.Errorf("%s: its generate command is %q, not dynamo-cmp generate", file, argv)
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if p.Spec.Version != "" {
		return p.Metadata.Name + "-" + p.Spec.Version, nil
	}
	return p.Metadata.Name, nil
}

// store asks for a key that no result has.
func (d *doctor) store(ctx context.Context, ref string) (ok bool) {
	const remedy = "look at --store, the network policy of the sidecar, and its registry credentials (config.json of docker)"
	store, err := cache.Open(ref, cache.Options{})
	if err != nil {
		d.fail("store", err, remedy)
		return false
	}
	start := time.Now()
	if dir, isLayout := strings.CutPrefix(store.String(), "oci-layout:"); isLayout {
		_, err = os.Stat(filepath.Join(dir, "index.json"))
	} else {
		_, err = store.Find(ctx, profile.Key("sha256:"+strings.Repeat("0", 64)))
		if errors.Is(err, cache.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		d.fail("store", err, remedy)
		return false
	}
	d.ok("store", "%s answers in %s", store, since(start))
	return true
}

// directory checks the locked results of a directory, then its render. The error is
// one that says nothing about a store.
func (d *doctor) directory(ctx context.Context, dir string) error {
	tree, rel, err := openTree(dir)
	if err != nil {
		return err
	}
	defer tree.Close()
	src, err := tree.Load(rel)
	if err != nil {
		return err
	}
	src.DGDVersion = d.options.dgdVersion
	r, err := newResolver(tree, src, d.options)
	if err != nil {
		return err
	}
	if !d.store(ctx, r.store.String()) {
		return nil
	}
	failed := d.failed
	for _, req := range src.Requests {
		start := time.Now()
		a, err := r.answer(ctx, req)
		if err != nil {
			what, remedy := remedyOf(err, r.remedy())
			d.fail("result", errors.New(what), remedy)
			continue
		}
		d.ok("result", "%s is %s, %s, read and verified in %s", req.Name, short(a.Digest), a.Result.Confidence, since(start))
	}
	if d.failed > failed {
		return nil
	}
	start := time.Now()
	out, err := render.Build(ctx, src, r.answer)
	if err != nil {
		return err
	}
	files, err := filesOf(out)
	if err != nil {
		return err
	}
	d.ok("render", "%s: %d manifests in %s", rel, len(files), since(start))
	return nil
}

// remedyOf takes the command off an error that ends with one.
func remedyOf(err error, otherwise string) (what, remedy string) {
	text := err.Error()
	i := strings.LastIndex(text, "; to ")
	if i < 0 {
		return text, otherwise
	}
	what, remedy = text[:i], text[i+len("; to "):]
	if _, command, ok := strings.Cut(remedy, ": "); ok {
		remedy = command
	}
	return what, remedy
}

func since(start time.Time) time.Duration {
	return time.Since(start).Round(time.Millisecond)
}
