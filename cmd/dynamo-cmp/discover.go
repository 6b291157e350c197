package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

func newDiscoverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "discover [DIR]",
		Short: "Print a line if a directory holds a DGDR",
		Long: `discover prints a line if DIR (default: the working directory) holds a
DynamoGraphDeploymentRequest, itself or through its kustomization, and nothing
otherwise. That is how Argo CD asks a plugin whether it wants an application that
names none (spec.discover.find.command). Files that cannot be read are no DGDRs.`,
		Example: `  # would a discovering plugin take this directory?
  dynamo-cmp discover apps/llama-70b`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			tree, dir, err := openTree(directory(args))
			if err != nil {
				return &codedError{exitInput, err}
			}
			defer tree.Close()
			s := search{tree: tree, seen: map[string]bool{}}
			if file := s.dir(dir); file != "" {
				fmt.Fprintln(profile.Printable(cmd.OutOrStdout()), file)
			}
			return nil
		},
	}
}

// maxSearched bounds the files and directories that a question is worth.
const maxSearched = 1000

// search looks for a DGDR.
type search struct {
	tree *render.Tree
	seen map[string]bool
}

// dir returns a file of a directory that holds a DGDR, "" without one. Where a
// kustomization stands it decides which files count, as it does for generate.
func (s *search) dir(dir string) string {
	if s.visited(dir) {
		return ""
	}
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if data, err := s.tree.Read(path.Join(dir, name)); err == nil {
			return s.kustomization(dir, data)
		}
	}
	entries, err := s.tree.Files().ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) && s.file(name) {
			return name
		}
	}
	return ""
}

// kustomization follows the local resources of a kustomization.
func (s *search) kustomization(dir string, data []byte) string {
	var k struct{ Resources, Bases, Components []string }
	if yaml.Unmarshal(data, &k) != nil {
		return ""
	}
	for _, resource := range slices.Concat(k.Resources, k.Bases, k.Components) {
		name := path.Join(dir, resource)
		if !fs.ValidPath(name) {
			continue
		}
		if s.file(name) {
			return name
		}
		if found := s.dir(name); found != "" {
			return found
		}
	}
	return ""
}

func (s *search) file(name string) bool {
	if s.visited(name + "?") {
		return false
	}
	data, err := s.tree.Read(name)
	if err != nil || !bytes.Contains(data, []byte("DynamoGraphDeploymentRequest")) {
		return false
	}
	docs, err := profile.Documents(name, data)
	return err == nil && slices.ContainsFunc(docs, profile.Document.IsRequest)
}

// visited notes a visit and says whether there is no need for another.
func (s *search) visited(name string) bool {
	if s.seen[name] || len(s.seen) >= maxSearched {
		return true
	}
	s.seen[name] = true
	return false
}
