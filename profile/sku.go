package profile

import (
	"slices"
	"strings"
)

// gpu is what is known about a GPU system. VRAM and GPUs per node are those of
// AIConfigurator 0.12's system files; where it has none, VRAM is the vendor's
// figure for the smallest variant.
type gpu struct {
	system      string // AIConfigurator's name
	vramMiB     float64
	gpusPerNode int
	operator    bool // in the enum of Dynamo 1.5's DGDR
}

// gpus maps every accepted gpuSku.
var gpus = map[string]gpu{
	"gb200_sxm": {"gb200", 189471, 4, true},
	"gb10":      {"gb10", 122880, 1, true},
	"b200_sxm":  {"b200_sxm", 184320, 8, true},
	"h200_sxm":  {"h200_sxm", 144384, 8, true},
	"h100_sxm":  {"h100_sxm", 81920, 8, true},
	"h100_pcie": {"h100_pcie", 81920, 8, true},
	"a100_sxm":  {"a100_sxm", 81920, 8, true},
	"a100_pcie": {"a100_pcie", 81920, 8, true},
	"a30":       {"a30", 24576, 8, true},
	"l40s":      {"l40s", 46068, 8, true},
	"l40":       {"l40", 49152, 8, true},
	"l4":        {"l4", 24576, 8, true},
	"v100_sxm":  {"v100_sxm", 16384, 8, true},
	"v100_pcie": {"v100_pcie", 16384, 8, true},
	"t4":        {"t4", 16384, 8, true},
	"mi200":     {"mi200", 65536, 8, true},
	"mi300":     {"mi300", 196608, 8, true},

	"b300_sxm":            {"b300_sxm", 275040, 8, false},
	"b60":                 {"b60", 24576, 8, false},
	"gb200":               {"gb200", 189471, 4, false},
	"gb300":               {"gb300", 284208, 4, false},
	"rtx_pro_6000_server": {"rtx_pro_6000_server", 97887, 8, false},
}

// VRAMMiB is the memory of one GPU of a system that AIConfigurator or Dynamo
// knows, for a request that does not say it.
func VRAMMiB(system string) (float64, bool) {
	for _, g := range gpus {
		if g.system == system {
			return g.vramMiB, true
		}
	}
	return 0, false
}

// Systems that AIConfigurator 0.12 has measured tables for (its support matrix),
// and those that it describes without: it predicts from the hardware's peak figures.
var (
	measuredSystems  = []string{"a100_sxm", "b200_sxm", "b300_sxm", "b60", "gb200", "gb300", "h100_sxm", "h200_sxm", "l40s", "rtx_pro_6000_server"}
	estimatedSystems = []string{"a100_pcie", "a30", "h100_pcie", "l4"}
)

// Attainable is the strongest confidence that a rapid search can have for a gpuSku:
// Simulated, Estimated, or Naive where AIConfigurator does not know the system.
func Attainable(sku string) Confidence {
	switch system := gpus[sku].system; {
	case slices.Contains(measuredSystems, system):
		return Simulated
	case slices.Contains(estimatedSystems, system):
		return Estimated
	}
	return Naive
}

// GPUsPerNode is how many GPUs a node usually has, for a gpuSku that is known.
func GPUsPerNode(sku string) (int, bool) {
	g, ok := gpus[strings.ToLower(sku)]
	return g.gpusPerNode, ok
}

// products are the words of a GPU's product name that tell its gpuSku, in the order
// of Dynamo's operator (internal/gpu/discovery.go), and those that AIConfigurator
// knows beside.
var products = []struct {
	word  string
	plain string // the SKU without a form factor in the name, or as PCIe card
	sxm   string // as a module; the same where empty
}{
	{"GB300", "gb300", ""},
	{"GB200", "gb200_sxm", ""},
	{"GB10", "gb10", ""},
	{"B300", "b300_sxm", ""},
	{"B200", "b200_sxm", ""},
	{"H200", "h200_sxm", ""},
	{"H100", "h100_pcie", "h100_sxm"},
	{"A100", "a100_pcie", "a100_sxm"},
	{"A30", "a30", ""},
	{"L40S", "l40s", ""},
	{"L40", "l40", ""},
	{"L4", "l4", ""},
	{"V100", "v100_pcie", "v100_sxm"},
	{"T4", "t4", ""},
	{"MI300", "mi300", ""},
	{"MI300X", "mi300", ""},
	{"MI250", "mi200", ""},
	{"MI250X", "mi200", ""},
	{"MI200", "mi200", ""},
}

// SKUOf is the gpuSku of a GPU by its product name, as the label
// nvidia.com/gpu.product has it (NVIDIA-H100-80GB-HBM3). It compares whole words,
// so that a GH200 is no H200.
func SKUOf(product string) (string, bool) {
	words := strings.FieldsFunc(strings.ToUpper(product), func(r rune) bool { return r == '-' || r == '_' || r == ' ' })
	module := slices.ContainsFunc(words, func(w string) bool {
		return strings.HasPrefix(w, "SXM") || w == "HGX" || w == "DGX" || w == "HBM3"
	})
	for _, p := range products {
		switch {
		case !slices.Contains(words, p.word):
		case module && p.sxm != "":
			return p.sxm, true
		default:
			return p.plain, true
		}
	}
	if strings.Contains(strings.Join(words, " "), "RTX PRO 6000 BLACKWELL SERVER") {
		return "rtx_pro_6000_server", true
	}
	return "", false
}

// checkSKU reports an unknown GPU, and one that only AIConfigurator knows.
func (d *decoder) checkSKU(path, sku string) {
	g, ok := gpus[sku]
	if !ok {
		names := sortedKeys(gpus)
		near := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return sku == "" || !strings.HasPrefix(n, sku+"_") })
		if n := nearest(sku, names); n != "" && len(near) == 0 {
			near = []string{n}
		}
		hint := ""
		if len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, " or ")
		}
		d.problem(path, "unknown GPU %s%s; known are %s", quote(sku), hint, strings.Join(names, ", "))
		return
	}
	if !g.operator {
		same := ""
		for _, name := range sortedKeys(gpus) {
			if gpus[name].system == g.system && gpus[name].operator {
				same = "; it spells it " + name
			}
		}
		d.warn(path, "%s is known to AIConfigurator only: Dynamo's 1.5 operator would refuse this DGDR%s", sku, same)
	}
}

// KnownSKU says whether a DGDR may name that gpuSku.
func KnownSKU(sku string) bool {
	_, ok := gpus[sku]
	return ok
}
