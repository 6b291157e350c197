package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func newFnCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "fn",
		Short: "Replace DGDRs in a ResourceList, as a KRM function",
		Long: `fn is a KRM function: it reads a ResourceList from stdin and prints it with every
DynamoGraphDeploymentRequest replaced, in its place, by the manifests of its locked
profiling result. Other items pass through as they are.

dynamo.lock, hardware.yaml and .dynamo-cmp/store are looked for as generate does, for
the directory spec.dir of the functionConfig: relative to the working directory, which
is that of the kustomization under kustomize build. An item that says which file it
comes from (kpt) is looked up beside that file.

What a kustomization does to its resources (a namespace, labels, patches) it does
before fn, to the DGDR. To change what is generated, put a kustomization around it.

The functionConfig may say, under spec:
  dir             directory of dynamo.lock (default: .)
  store           where results are, unless --store or its variable says so
  allow           list of confidences; only narrows --allow
  requireSLAMet   true as --require-sla-met

On an error the exit status is 1 and the ResourceList is printed as it came, with the
errors in its results.`,
		Example: `  # kustomize without Argo CD: transformers: [dynamo-cmp.yaml], in which
  #   apiVersion: dynamo-cmp.github.io/v1
  #   kind: DynamoCMP
  #   metadata:
  #     name: dynamo-cmp
  #     annotations:
  #       config.kubernetes.io/function: |
  #         exec: {path: /usr/local/bin/dynamo-cmp, args: [fn]}
  kustomize build --enable-alpha-plugins --enable-exec apps/llama-70b

  # kpt: print what would be applied, leaving the package as it is
  kpt fn eval apps --exec "dynamo-cmp fn" --output unwrap`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := readList(cmd.InOrStdin())
			if err != nil {
				return &codedError{exitInput, err}
			}
			replaceErr := replaceRequests(cmd.Context(), list, o)
			out, err := list.encode(replaceErr)
			if err != nil {
				return fmt.Errorf("encoding the ResourceList: %w", err)
			}
			if _, err := cmd.OutOrStdout().Write(out); err != nil {
				return fmt.Errorf("writing the ResourceList: %w", err)
			}
			if replaceErr != nil {
				// One status for all: the orchestrator reads the results.
				return errors.New(replaceErr.Error())
			}
			return nil
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// replaceRequests changes all DGDRs of the list, or with an error none.
func replaceRequests(ctx context.Context, list *resourceList, o options) error {
	config, err := list.config(&o)
	if err != nil {
		return err
	}
	ctx, done, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer done()
	tree, base, err := openTree(config.Dir)
	if err != nil {
		return err
	}
	defer tree.Close()
	var items []*yaml.Node
	var errs []error
	for _, item := range list.items() {
		doc, err := documentOf(item)
		if err != nil {
			errs = append(errs, itemError{item, err})
			continue
		}
		if doc == nil {
			items = append(items, item)
			continue
		}
		stream, err := renderItem(ctx, tree, base, *doc, o)
		if err != nil {
			errs = append(errs, itemError{item, err})
			continue
		}
		made, err := itemsOf(stream, item)
		if err != nil {
			errs = append(errs, itemError{item, err})
			continue
		}
		items = append(items, made...)
	}
	if len(errs) == 0 {
		list.replace(items)
	}
	return errors.Join(errs...)
}

// readList reads a ResourceList. Its size is bounded, as one value is held at once.
func readList(r io.Reader) (*resourceList, error) {
	const limit = 64 << 20
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the ResourceList: %w", err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("stdin: larger than %d MiB", limit>>20)
	}
	return parseList(data)
}

// documentOf is an item as a document, nil where it is no DGDR. Its lines are those
// of no file.
func documentOf(item *yaml.Node) (*profile.Document, error) {
	var head struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
	}
	if err := item.Decode(&head); err != nil || !(profile.Document{APIVersion: head.APIVersion, Kind: head.Kind}).IsRequest() {
		return nil, nil // whatever it is, it is not ours
	}
	data, err := yaml.Marshal(item)
	if err != nil {
		return nil, fmt.Errorf("reading a DGDR: %w", err)
	}
	docs, err := profile.Documents(fileOf(item), data)
	if err != nil {
		return nil, withoutLines(err)
	}
	docs[0].Line = 0
	clearLines(docs[0].Root)
	return &docs[0], nil
}
