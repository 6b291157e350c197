package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file is one object of the output.
type file struct {
	name string
	data []byte
}

// identity is what the name of an object's file is made of.
type identity struct {
	Group    string
	Kind     string
	Metadata struct {
		Namespace, Name string
		GenerateName    string `yaml:"generateName"`
	}
}

// filesOf takes the stream of generate apart, in its order. A document in it begins at the left
// margin, where no line of a value can be.
func filesOf(stream []byte) ([]file, error) {
	chunks := bytes.Split(stream, []byte("\n---\n"))
	ids := make([]identity, len(chunks))
	var problems []error
	for i, chunk := range chunks {
		var id struct {
			APIVersion string `yaml:"apiVersion"`
			identity   `yaml:",inline"`
		}
		if err := yaml.Unmarshal(chunk, &id); err != nil {
			return nil, fmt.Errorf("reading the rendered manifests: %w", err)
		}
		ids[i] = id.identity
		if group, _, ok := strings.Cut(id.APIVersion, "/"); ok {
			ids[i].Group = group
		}
		if ids[i].name() == "" {
			problems = append(problems, fmt.Errorf("a %s without metadata.name has no file to be in; to render it, name it", cmp.Or(id.Kind, "document")))
		}
	}
	short := map[string]int{}
	for _, id := range ids {
		short[id.file("")]++
	}
	taken := map[string]bool{}
	files := make([]file, len(ids))
	for i, id := range ids {
		name := id.file("")
		if short[name] > 1 {
			name = id.file(id.Group)
		}
		if taken[name] {
			problems = append(problems, fmt.Errorf("two objects would be in the file %s", name))
		}
		taken[name] = true
		files[i] = file{name, append(bytes.TrimSuffix(chunks[i], []byte("\n")), '\n')}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return files, nil
}

func (id identity) name() string {
	return cmp.Or(id.Metadata.Name, strings.TrimRight(id.Metadata.GenerateName, "-"))
}

// file is a name that says what is inside, on any file system. The group is for
// kinds of one name in several groups.
func (id identity) file(group string) string {
	kind := strings.Trim(id.Kind+"."+group, ".")
	parts := slices.DeleteFunc([]string{kind, id.Metadata.Namespace, id.name()}, func(s string) bool { return s == "" })
	safe := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}
	return strings.Map(safe, strings.ToLower(strings.Join(parts, "_"))) + ".yaml"
}
