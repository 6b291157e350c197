package profile

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSKUOf(t *testing.T) {
	for product, want := range map[string]string{
		"NVIDIA-GB300":            "gb300",
		"NVIDIA-GB200":            "gb200_sxm",
		"NVIDIA-GB10":             "gb10",
		"NVIDIA-B300-SXM6-AC":     "b300_sxm",
		"NVIDIA-B200":             "b200_sxm",
		"NVIDIA-H200":             "h200_sxm",
		"NVIDIA-H200-NVL":         "h200_sxm",
		"NVIDIA H100 80GB HBM3":   "h100_sxm",
		"NVIDIA-H100-80GB-HBM3":   "h100_sxm",
		"NVIDIA-DGX-H100":         "h100_sxm",
		"NVIDIA-H100-NVL":         "h100_pcie",
		"NVIDIA H100":             "h100_pcie",
		"NVIDIA-A100-SXM4-40GB":   "a100_sxm",
		"NVIDIA-A100-PCIE-40GB":   "a100_pcie",
		"NVIDIA-A100-80GB-PCIe":   "a100_pcie",
		"NVIDIA-A30":              "a30",
		"NVIDIA-L40S":             "l40s",
		"NVIDIA-L40":              "l40",
		"NVIDIA-L4":               "l4",
		"Tesla-V100-SXM2-16GB":    "v100_sxm",
		"Tesla-V100-PCIE-16GB":    "v100_pcie",
		"Tesla-T4":                "t4",
		"AMD_Instinct_MI300X_OAM": "mi300",
		"AMD-Instinct-MI250X":     "mi200",
		"NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition": "rtx_pro_6000_server",

		"NVIDIA-GH200-480GB": "",
		"NVIDIA-H20":         "",
		"NVIDIA-H800":        "",
		"NVIDIA-A10G":        "",
		"NVIDIA-T400":        "",
		"NVIDIA-RTX-A3000":   "",
		"NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition": "",
		"": "",
	} {
		got, known := SKUOf(product)
		require.Equal(t, want, got, product)
		require.Equal(t, want != "", known, product)
		if known {
			require.Contains(t, gpus, got, product)
		}
	}
}

// What a rapid search can know of a GPU, as AIConfigurator 0.12's system files and
// support matrix have it.
func TestAttainable(t *testing.T) {
	for sku, want := range map[string]Confidence{
		"h200_sxm": Simulated, "gb200_sxm": Simulated, "gb200": Simulated, "l40s": Simulated, "b60": Simulated,
		"h100_pcie": Estimated, "a100_pcie": Estimated, "a30": Estimated, "l4": Estimated,
		"l40": Naive, "t4": Naive, "mi300": Naive, "v100_sxm": Naive, "gb10": Naive,
	} {
		require.Equal(t, want, Attainable(sku), sku)
	}
	for _, system := range append(measuredSystems, estimatedSystems...) {
		_, known := VRAMMiB(system)
		require.True(t, known, system)
	}
}
