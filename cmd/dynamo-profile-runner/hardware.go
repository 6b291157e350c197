package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var nodeResource = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}

type hardwareOptions struct {
	sku, output, kubeconfig, context string
}

func newHardwareCommand() *cobra.Command {
	var o hardwareOptions
	cmd := &cobra.Command{
		Use:   "hardware",
		Short: "Describe a cluster's GPUs as a hardware.yaml",
		Long: `hardware lists the nodes of a cluster and prints a hardware.yaml: the GPUs, by the
labels of NVIDIA's GPU feature discovery and what the nodes offer, and what else the
cluster has. DGDRs at or below the file then need not name their hardware.

The file describes one kind of GPU. It takes the cluster as it is now: commit it, and
run this again when nodes come or go.`,
		Example: `  # for every application of the repository
  dynamo-profile-runner hardware -o hardware.yaml

  # a cluster with two kinds of GPUs: a file for each part of the repository
  dynamo-profile-runner hardware --gpu-sku l40s -o small/hardware.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("hardware takes no arguments, has %q; to write a file: -o FILE", args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := o.survey(cmd.Context())
			if err != nil {
				return err
			}
			data, err := s.file(o.sku)
			if err != nil {
				return err
			}
			return o.write(cmd.OutOrStdout(), data)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.output, "output", "o", "", "file to write; stdout without")
	flags.StringVar(&o.sku, "gpu-sku", "", "which GPUs to describe, where the cluster has several kinds")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "file that names the cluster; KUBECONFIG, the usual file or the pod's service account without")
	flags.StringVar(&o.context, "context", "", "of the kubeconfig; its current one without")
	return cmd
}

// survey reads the cluster.
func (o hardwareOptions) survey(ctx context.Context) (*survey, error) {
	config, _, err := clusterConfig(o.kubeconfig, o.context)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	groups, err := servedGroups(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its API groups: %w", err)
	}
	s := newSurvey(groups)
	if err := s.nodes(ctx, client); err != nil {
		return nil, err
	}
	return s, nil
}

// servedGroups are the names of the API groups, which every account may read.
func servedGroups(ctx context.Context, config *rest.Config) ([]string, error) {
	client, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(config))
	if err != nil {
		return nil, err
	}
	data, err := client.Get().AbsPath("/apis").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list metav1.APIGroupList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	names := make([]string, len(list.Groups))
	for i, g := range list.Groups {
		names[i] = g.Name
	}
	return names, nil
}

// nodes notes the nodes, page by page.
func (s *survey) nodes(ctx context.Context, client dynamic.Interface) error {
	for next := ""; ; {
		page, err := client.Resource(nodeResource).List(ctx, metav1.ListOptions{Limit: 500, Continue: next})
		if err != nil {
			return fmt.Errorf("listing nodes: %w", err)
		}
		for _, item := range page.Items {
			if err := s.node(item); err != nil {
				return fmt.Errorf("reading node %s: %w", item.GetName(), err)
			}
		}
		if next = page.GetContinue(); next == "" {
			return nil
		}
	}
}

// write prints the file, or replaces it whole.
func (o hardwareOptions) write(stdout io.Writer, data []byte) error {
	if o.output == "" {
		_, err := stdout.Write(data)
		return err
	}
	return writeFile(o.output, data)
}

// writeFile writes a file, or replaces it, whole or not at all.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".dynamo-cmp-tmp-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
