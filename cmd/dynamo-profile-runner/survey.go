package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// budgetLimit is the most GPUs that Dynamo's operator takes for one request where
// nobody says how many (internal/gpu/discovery.go).
const budgetLimit = 32

const (
	gpuResource  = "nvidia.com/gpu"
	productLabel = "nvidia.com/gpu.product"
	memoryLabel  = "nvidia.com/gpu.memory" // MiB of one GPU
)

// capabilityGroups are the API groups by which a capability shows.
var capabilityGroups = map[string]string{
	"grove.io":                      profile.Grove,
	"leaderworkerset.x-k8s.io":      profile.LWS,
	"scheduling.run.ai":             profile.KAI,
	"monitoring.coreos.com":         profile.Prometheus,
	"inference.networking.k8s.io":   profile.GAIE,
	"inference.networking.x-k8s.io": profile.GAIE,
}

// survey is what a cluster has for engines.
type survey struct {
	pools        map[poolKey]*pool
	others       map[string]int // nodes with GPUs that no file can describe, by why
	capabilities map[string]bool
}

// poolKey tells nodes apart that a hardware file cannot describe together.
type poolKey struct {
	sku     string
	perNode int
}

// pool is the nodes with equally many GPUs of one kind.
type pool struct {
	poolKey
	product string
	nodes   int
	vramMiB float64 // the least of any node; 0 is unknown
	rdma    int     // nodes that offer RDMA devices
}

// newSurvey is one of a cluster with these API groups, and no nodes yet.
func newSurvey(groups []string) *survey {
	s := &survey{pools: map[poolKey]*pool{}, others: map[string]int{}, capabilities: map[string]bool{}}
	for _, name := range groups {
		if c := capabilityGroups[name]; c != "" {
			s.capabilities[c] = true
		}
	}
	return s
}

// node notes the GPUs of a node.
func (s *survey) node(item unstructured.Unstructured) error {
	var n struct {
		Status struct {
			Allocatable map[string]resource.Quantity `json:"allocatable"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &n); err != nil {
		return err
	}
	labels := item.GetLabels()
	quantity := n.Status.Allocatable[gpuResource]
	product, count := labels[productLabel], int(quantity.Value())
	sku, known := profile.SKUOf(product)
	switch {
	case count <= 0 && product == "":
		return nil
	case product == "":
		s.others["without the label "+productLabel]++
	case count <= 0:
		s.others["with "+product+" and no "+gpuResource+" to offer"]++
	case strings.Contains(product, "-MIG-") || strings.HasSuffix(product, "-SHARED"):
		s.others["with parts of GPUs, "+product]++
	case !known:
		s.others["with "+product+", for which there is no gpuSku"]++
	default:
		s.add(poolKey{sku, count}, product, labels[memoryLabel], offersRDMA(n.Status.Allocatable))
	}
	return nil
}

func (s *survey) add(key poolKey, product, memory string, rdma bool) {
	p := s.pools[key]
	if p == nil {
		p = &pool{poolKey: key, product: product}
		s.pools[key] = p
	}
	p.nodes++
	p.product = min(p.product, product)
	if mib, err := strconv.ParseFloat(memory, 64); err == nil && mib >= 1 && (p.vramMiB == 0 || mib < p.vramMiB) {
		p.vramMiB = mib
	}
	if rdma {
		p.rdma++
	}
}

func offersRDMA(allocatable map[string]resource.Quantity) bool {
	for name, q := range allocatable {
		if q.Sign() > 0 && (strings.HasPrefix(name, "rdma/") || name == "vpc.amazonaws.com/efa") {
			return true
		}
	}
	return false
}

// file is the hardware file for GPUs of one kind, which may be empty where there is
// only one kind.
func (s *survey) file(sku string) ([]byte, error) {
	p, err := s.choose(sku)
	if err != nil {
		return nil, err
	}
	total := p.nodes * p.perNode
	why := ""
	if total > budgetLimit {
		why = fmt.Sprintf(", as Dynamo limits it: there are %d", total)
		total = max(budgetLimit/p.perNode, 1) * p.perNode
	}
	capabilities := maps.Clone(s.capabilities)
	if p.rdma == p.nodes {
		capabilities[profile.RDMA] = true
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Found by dynamo-profile-runner hardware: %s.\n", p)
	if rest := s.rest(p); len(rest) > 0 {
		fmt.Fprintf(&out, "# Not described:\n#   %s\n", strings.Join(rest, "\n#   "))
	}
	fmt.Fprintf(&out, "apiVersion: dynamo-cmp.github.io/v1\nkind: Hardware\nspec:\n  gpuSku: %s\n", p.sku)
	if p.vramMiB > 0 {
		fmt.Fprintf(&out, "  vramMb: %.0f # MiB for each GPU\n", p.vramMiB)
	}
	fmt.Fprintf(&out, "  numGpusPerNode: %d\n  totalGpus: %d # the budget of one application%s\n", p.perNode, total, why)
	fmt.Fprintf(&out, "  rdma: %t\n  capabilities: [%s]\n", capabilities[profile.RDMA], strings.Join(slices.Sorted(maps.Keys(capabilities)), ", "))
	if _, err := profile.ParseHardware("hardware.yaml", out.Bytes()); err != nil {
		return nil, fmt.Errorf("the cluster's GPUs make no valid file: %w", err)
	}
	return out.Bytes(), nil
}

// choose is the pool to describe: the one with the most GPUs of a kind.
func (s *survey) choose(sku string) (*pool, error) {
	pools := slices.SortedFunc(maps.Values(s.pools), byKind)
	var kinds, lines []string
	for _, p := range pools {
		kinds, lines = append(kinds, p.sku), append(lines, "\n\t"+p.String())
	}
	kinds = slices.Compact(kinds)
	if len(pools) == 0 {
		return nil, s.nothing()
	}
	if sku == "" && len(kinds) > 1 {
		return nil, &usageError{fmt.Errorf("the cluster has GPUs of %d kinds, and a hardware file describes one; to choose: --gpu-sku %s%s",
			len(kinds), strings.Join(kinds, " or "), strings.Join(lines, ""))}
	}
	i := slices.IndexFunc(pools, func(p *pool) bool { return sku == "" || p.sku == sku })
	if i < 0 {
		return nil, &usageError{fmt.Errorf("--gpu-sku: the cluster has no %q; it has:%s", sku, strings.Join(lines, ""))}
	}
	return pools[i], nil
}

// nothing says why there is nothing to describe.
func (s *survey) nothing() error {
	const install = "; to have GPUs offered and labelled, install the NVIDIA GPU Operator:\n\t" +
		"helm install gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia --namespace gpu-operator --create-namespace"
	if len(s.others) == 0 {
		return errors.New("no node offers " + gpuResource + install)
	}
	return fmt.Errorf("no node has GPUs that can be described:\n\t%s%s", strings.Join(s.rest(nil), "\n\t"), install)
}

// rest is all nodes with GPUs outside a pool.
func (s *survey) rest(but *pool) []string {
	var all []string
	for _, p := range slices.SortedFunc(maps.Values(s.pools), byKind) {
		if p != but {
			all = append(all, p.String())
		}
	}
	for _, why := range slices.Sorted(maps.Keys(s.others)) {
		all = append(all, nodeCount(s.others[why])+" "+why)
	}
	return all
}

func (p *pool) String() string {
	return fmt.Sprintf("%s with %d x %s (%s)", nodeCount(p.nodes), p.perNode, p.product, p.sku)
}

func nodeCount(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// byKind sorts by kind, the pool with the most GPUs first.
func byKind(a, b *pool) int {
	return cmp.Or(cmp.Compare(a.sku, b.sku), cmp.Compare(b.nodes*b.perNode, a.nodes*a.perNode), cmp.Compare(b.perNode, a.perNode))
}
