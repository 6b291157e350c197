package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// render compares generate with what prints the same manifests otherwise.
func (b *bench) render(ctx context.Context) error {
	for _, n := range b.sizes {
		f, err := b.fleet(ctx, n)
		if err != nil {
			return err
		}
		ours := process{argv: []string{b.tool("dynamo-cmp"), "generate", f.dir}}
		want, _, err := ours.run() // also warms the local copies
		if err != nil {
			return err
		}
		names := []string{"dynamo-cmp generate"}
		processes := []process{ours}
		for _, peer := range []struct {
			name string
			make func(dir string, n int, manifests []byte) (process, error)
			same func(want, got []byte) error
		}{
			{"kustomize build", b.kustomize, sameObjects},
			{"helm template", b.helm, sameObjects},
			{"Dynamo's assembly", b.assembly, b.sameDeployments},
		} {
			dir := filepath.Join(b.scratch, fmt.Sprintf("%s-%d", strings.Fields(peer.name)[0], n))
			p, err := peer.make(dir, n, want)
			if errors.Is(err, errNoPeer) {
				b.skip(peer.name)
				continue
			}
			if err != nil {
				return err
			}
			got, _, err := p.run()
			if err != nil {
				return err
			}
			if err := peer.same(want, got); err != nil {
				return fmt.Errorf("%s of %d: %w", peer.name, n, err)
			}
			names, processes = append(names, peer.name), append(processes, p)
		}
		if err := b.measure("render", n, names, processes); err != nil {
			return err
		}
	}
	if !b.short {
		b.renderGoals()
	}
	return nil
}

func (b *bench) renderGoals() {
	find := func(n int) (ours, peer usage) {
		return b.report.find("render", n, "dynamo-cmp generate"), b.report.find("render", n, "kustomize build")
	}
	ours, peer := find(1)
	ratio := float64(ours.Wall) / float64(peer.Wall)
	b.report.goal(ratio <= 1.3 && ours.Peak <= 60, "one DGDR: at most 1.3x the time of kustomize build, and 60 MiB", "%s, %.0f MiB", times(ratio), ours.Peak)
	many, peer := find(1000)
	ratio = float64(peer.Wall) / float64(many.Wall)
	b.report.goal(ratio >= 3, "1,000 DGDRs: at least 3x faster than kustomize build", "%s", times(ratio))
	hundred, _ := find(100)
	ratio = float64(many.Wall) / float64(hundred.Wall)
	b.report.goal(ratio <= 11, "linear: 1,000 DGDRs take at most 11x the time of 100", "%s", times(ratio))
}

// kustomize builds the manifests from one file.
func (b *bench) kustomize(dir string, _ int, manifests []byte) (process, error) {
	bin, err := b.peer("kustomize")
	if err != nil {
		return process{}, err
	}
	return process{argv: []string{bin, "build", dir}}, writeFiles(dir, map[string][]byte{
		"all.yaml": manifests, "kustomization.yaml": []byte("resources: [all.yaml]\n")})
}

// helm has a chart whose template is the text of one deployment; in the values is
// each line that differs from one deployment to the next.
func (b *bench) helm(dir string, n int, manifests []byte) (process, error) {
	bin, err := b.peer("helm")
	if err != nil {
		return process{}, err
	}
	deployments, err := split(manifests, n)
	if err != nil {
		return process{}, err
	}
	template := append([]string{}, deployments[0]...)
	other := deployments[len(deployments)-1]
	var differing []int
	for i, line := range template {
		if n > 1 && line == other[i] || n == 1 && !strings.Contains(line, memberName(0)) {
			continue
		}
		template[i] = fmt.Sprintf("{{ index . %d }}", len(differing))
		differing = append(differing, i)
	}
	values := map[string][][]string{"deployments": nil}
	for _, lines := range deployments {
		var own []string
		for _, i := range differing {
			own = append(own, lines[i])
		}
		values["deployments"] = append(values["deployments"], own)
	}
	data, err := json.Marshal(values)
	if err != nil {
		return process{}, err
	}
	return process{argv: []string{bin, "template", dir}}, writeFiles(dir, map[string][]byte{
		"Chart.yaml":         []byte("apiVersion: v2\nname: fleet\nversion: 1.0.0\n"),
		"values.yaml":        data,
		"templates/all.yaml": []byte("{{- range .Values.deployments }}\n---\n" + strings.Join(template, "\n") + "\n{{- end }}\n"),
	})
}

// split cuts a stream into the lines of each of n deployments, which are alike.
func split(manifests []byte, n int) ([][]string, error) {
	documents := strings.Split(strings.TrimSpace(string(manifests)), "\n---\n")
	if len(documents)%n != 0 {
		return nil, fmt.Errorf("%d documents are not %d deployments", len(documents), n)
	}
	each := len(documents) / n
	var deployments [][]string
	for i := 0; i < len(documents); i += each {
		deployments = append(deployments, strings.Split(strings.Join(documents[i:i+each], "\n---\n"), "\n"))
		if len(deployments[len(deployments)-1]) != len(deployments[0]) {
			return nil, fmt.Errorf("deployment %d has other lines than the first", len(deployments))
		}
	}
	return deployments, nil
}

func writeFiles(dir string, files map[string][]byte) error {
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sameObjects holds two streams against each other, in any order.
func sameObjects(want, got []byte) error {
	a, err := objects(want)
	if err != nil {
		return err
	}
	b, err := objects(got)
	if err != nil {
		return err
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d objects, and not %d", len(b), len(a))
	}
	for name, object := range a {
		if !reflect.DeepEqual(object, b[name]) {
			return fmt.Errorf("%s differs", name)
		}
	}
	return nil
}

// objects are the objects of a stream by kind and name.
func objects(stream []byte) (map[string]map[string]any, error) {
	all := map[string]map[string]any{}
	dec := yaml.NewDecoder(bytes.NewReader(stream))
	for {
		var object map[string]any
		err := dec.Decode(&object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if object != nil {
			all[fmt.Sprint(object["kind"], " ", object["metadata"].(map[string]any)["name"])] = object
		}
	}
}
