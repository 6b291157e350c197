package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// resourceList is a ResourceList of the KRM functions specification
// (sigs.k8s.io/kustomize, cmd/config/docs/api-conventions/functions-spec.md).
type resourceList struct {
	root *yaml.Node
}

func parseList(data []byte) (*resourceList, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("stdin: not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("stdin: is not a ResourceList; fn is called by kustomize or kpt")
	}
	l := &resourceList{doc.Content[0]}
	if kind := l.field("kind"); kind == nil || kind.Value != "ResourceList" {
		return nil, errors.New("stdin: is not a ResourceList; fn is called by kustomize or kpt")
	}
	return l, nil
}

// field is a value of the list, nil where it has none.
func (l *resourceList) field(name string) *yaml.Node {
	return child(l.root, name)
}

func child(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func (l *resourceList) items() []*yaml.Node {
	if items := l.field("items"); items != nil {
		return items.Content
	}
	return nil
}

func (l *resourceList) replace(items []*yaml.Node) {
	if list := l.field("items"); list != nil {
		list.Content = items
	}
}

// functionConfig is what a kustomization or a pipeline says.
type functionConfig struct {
	Dir           string
	Store         string
	Allow         []string
	RequireSLAMet bool `yaml:"requireSLAMet"`
}

// config decodes the functionConfig and applies it to the options.
func (l *resourceList) config(o *options) (functionConfig, error) {
	c := functionConfig{Dir: "."}
	node := l.field("functionConfig")
	if node == nil || node.Kind != yaml.MappingNode {
		return c, nil
	}
	if kind := child(node, "kind"); kind == nil || kind.Value != "DynamoCMP" {
		return c, errors.New("functionConfig: the kind must be DynamoCMP")
	}
	if spec := child(node, "spec"); spec != nil {
		data, err := yaml.Marshal(spec)
		if err != nil {
			return c, fmt.Errorf("functionConfig: %w", err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(data))
		dec.KnownFields(true)
		if err := dec.Decode(&c); err != nil {
			return c, fmt.Errorf("functionConfig: spec: %s", strings.Join(strings.Fields(err.Error()), " "))
		}
	}
	o.store = cmp.Or(o.store, c.Store)
	o.requireSLAMet = o.requireSLAMet || c.RequireSLAMet
	if len(c.Allow) > 0 {
		if err := o.narrowAllow(c.Allow); err != nil {
			return c, fmt.Errorf("functionConfig: spec.allow: %w", err)
		}
	}
	c.Dir = cmp.Or(c.Dir, ".")
	return c, nil
}

// encode prints the list, with what err says as its results.
func (l *resourceList) encode(err error) ([]byte, error) {
	if err != nil {
		var results yaml.Node
		if err := results.Encode(resultsOf(err)); err != nil {
			return nil, err
		}
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: "results"}
		l.root.Content = append(l.root.Content, key, &results)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := errors.Join(enc.Encode(l.root), enc.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// renderItem renders one DGDR as if it stood in its directory.
func renderItem(ctx context.Context, tree *render.Tree, base string, doc profile.Document, o options) ([]byte, error) {
	dir := base
	if doc.File != "" {
		dir = path.Join(base, path.Dir(doc.File))
	}
	doc.File = cmp.Or(doc.File, doc.Kind+" "+doc.Name)
	src, err := tree.Source(dir, []profile.Document{doc})
	if err != nil {
		return nil, err
	}
	src.DGDVersion = o.dgdVersion
	r, err := newResolver(tree, src, o)
	if err != nil {
		return nil, err
	}
	return render.Build(ctx, src, r.answer)
}

// itemsOf are the documents of a stream as items in the place of another: in files
// beside its file, where it says which that is.
func itemsOf(stream []byte, instead *yaml.Node) ([]*yaml.Node, error) {
	files, err := filesOf(stream)
	if err != nil {
		return nil, err
	}
	var items []*yaml.Node
	for _, f := range files {
		var doc yaml.Node
		if err := yaml.Unmarshal(f.data, &doc); err != nil {
			return nil, fmt.Errorf("reading the rendered manifests: %w", err)
		}
		item := doc.Content[0]
		for _, name := range pathAnnotations() {
			if old := annotation(instead, name); old != "" {
				annotate(item, name, path.Join(path.Dir(old), f.name))
			}
		}
		items = append(items, item)
	}
	return items, nil
}
