package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render/rendertest"
	"go.yaml.in/yaml/v3"
)

//go:embed peer.py
var peerScript []byte

// mount is where the requests of the example say that the model is.
const mount = "/home/dynamo/.cache/huggingface"

// dynamo is a process of Dynamo's own profiler, offline as ours is.
func (b *bench) dynamo(args ...string) (process, error) {
	if b.python == "" || b.dynamoPython == "" {
		return process{}, errNoPeer
	}
	script := filepath.Join(b.scratch, "peer.py")
	if err := os.WriteFile(script, peerScript, 0o644); err != nil {
		return process{}, err
	}
	where, err := exec.Command(b.dynamoPython, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").Output()
	if err != nil {
		return process{}, fmt.Errorf("asking %s for its packages: %w", b.dynamoPython, err)
	}
	return process{argv: append([]string{b.python, script}, args...), dir: b.scratch,
		env: []string{"BENCH_DYNAMO_PACKAGES=" + strings.TrimSpace(string(where)), "HF_HUB_OFFLINE=1"}}, nil
}

// specOf is what Dynamo's operator hands to its profiler of a request: the spec with
// its defaults. A model of a claim is read below the directory.
func specOf(dgdr, claim string) ([]byte, error) {
	docs, err := profile.Documents("dgdr.yaml", []byte(dgdr))
	if err != nil {
		return nil, err
	}
	hardware, err := os.ReadFile("examples/gitops-repo/hardware.yaml")
	if err != nil {
		return nil, err
	}
	file, err := profile.ParseHardware("hardware.yaml", hardware)
	if err != nil {
		return nil, err
	}
	var request struct {
		Spec map[string]any `yaml:"spec"`
	}
	if err := docs[0].Root.Decode(&request); err != nil {
		return nil, err
	}
	spec := request.Spec
	if spec["image"] == nil {
		spec["image"] = profile.DefaultImage
	}
	if spec["hardware"] == nil {
		h := file.Hardware
		spec["hardware"] = map[string]any{"gpuSku": h.GPUSKU, "totalGpus": h.TotalGPUs, "numGpusPerNode": h.GPUsPerNode}
	}
	if cache, ok := spec["modelCache"].(map[string]any); ok && claim != "" {
		cache["pvcMountPath"] = claim
	}
	return yaml.Marshal(spec)
}

// assembly is the last part of Dynamo's profiler, for n requests in one process: from
// a pick that is there to manifests.
func (b *bench) assembly(dir string, n int, _ []byte) (process, error) {
	if err := b.pick(); err != nil {
		return process{}, err
	}
	p, err := b.dynamo("assemble", filepath.Join(b.scratch, "pick"), fmt.Sprint(n))
	p.slow = n >= 100
	return p, err
}

// pick has Dynamo answer the first request of the fleet, and keeps what its final
// assembly was called with.
func (b *bench) pick() error {
	pick := filepath.Join(b.scratch, "pick")
	if _, err := os.Stat(pick); err == nil {
		return nil
	}
	claim := filepath.Join(b.scratch, "claim")
	model := "examples/gitops-repo/platform/model-configs/" + b.sample.result.Inputs.Model + "/config.json"
	config, err := os.ReadFile(model)
	if err != nil {
		return err
	}
	snapshot := "hub/models--" + strings.ReplaceAll(b.sample.result.Inputs.Model, "/", "--") + "/snapshots/" + b.sample.result.Inputs.Revision
	spec, err := specOf(b.sample.request(0), claim)
	if err != nil {
		return err
	}
	if err := writeFiles(b.scratch, map[string][]byte{"spec.yaml": spec, "claim/" + snapshot + "/config.json": config}); err != nil {
		return err
	}
	p, err := b.dynamo("capture", filepath.Join(b.scratch, "spec.yaml"), filepath.Join(b.scratch, "answer"), pick)
	if err != nil {
		return err
	}
	_, _, err = p.run()
	return err
}

// sameDeployments holds the first deployment against Dynamo's, with the rules of
// docs/deviations.md.
func (b *bench) sameDeployments(want, got []byte) error {
	n := bytes.Count(want, []byte("\nkind: DynamoGraphDeployment\n"))
	if made := bytes.Count(got, []byte("\nkind: DynamoGraphDeployment\n")); made != n {
		return fmt.Errorf("%d deployments, and not %d", made, n)
	}
	first := func(stream []byte) []byte {
		documents := bytes.Split(bytes.TrimPrefix(stream, []byte("---\n")), []byte("\n---\n"))
		return bytes.Join(documents[:len(documents)/n], []byte("\n---\n"))
	}
	spec, err := specOf(b.sample.request(0), "")
	if err != nil {
		return err
	}
	dir := filepath.Join(b.scratch, "case")
	theirs := bytes.ReplaceAll(first(got), []byte(filepath.Join(b.scratch, "claim")), []byte(mount))
	theirs = bytes.ReplaceAll(theirs, []byte(b.scratch), []byte("/workspace")) // where it runs in its image
	if err := writeFiles(dir, map[string][]byte{"spec.yaml": spec, "final_config.yaml": theirs}); err != nil {
		return err
	}
	return rendertest.New().Compare(dir, first(want))
}

// errNoPeer says that a comparison is left out.
var errNoPeer = errors.New("is not installed")

// fleet is the one of n requests, made once.
func (b *bench) fleet(ctx context.Context, n int) (*fleet, error) {
	if f := b.fleets[n]; f != nil {
		return f, nil
	}
	f, err := b.sample.build(ctx, filepath.Join(b.scratch, fmt.Sprintf("fleet-%d", n)), "", n)
	if err != nil {
		return nil, fmt.Errorf("making a fleet of %d: %w", n, err)
	}
	b.fleets[n] = f
	return f, nil
}
