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
