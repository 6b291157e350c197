package profile

import (
	"fmt"
	"slices"
	"strings"
)

// hardwareFileVersion is the apiVersion of a hardware file; its kind is Hardware.
const hardwareFileVersion = "dynamo-cmp.github.io/v1"

// HardwareFile is hardware.yaml: the GPUs of a cluster, for the DGDRs that do not
// say them. Fields it leaves out are zero.
type HardwareFile struct {
	File string
	Hardware
	// Capabilities are what the cluster has beside GPUs; nil where the file does
	// not list it, and then nothing is known to be missing.
	Capabilities []string
}

// The capabilities that a hardware file may list.
const (
	Grove      = "grove"
	LWS        = "lws"
	KAI        = "kai"
	RDMA       = "rdma"
	Prometheus = "prometheus"
	GAIE       = "gaie"
)

// ParseHardware reads a hardware file strictly. The error is a Problems.
func ParseHardware(file string, data []byte) (*HardwareFile, error) {
	docs, err := Documents(file, data)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, Problems{{File: file, Message: fmt.Sprintf("must hold one YAML document, holds %d", len(docs))}}
	}
	d := newDecoder(docs[0])
	root := d.object("", docs[0].Root)
	if v := root.string("apiVersion"); v != hardwareFileVersion {
		d.problem("apiVersion", "must be %s, is %s", hardwareFileVersion, quote(v))
	}
	if v := root.string("kind"); v != "Hardware" {
		d.problem("kind", "must be Hardware, is %s", quote(v))
	}
	root.ignore("metadata")
	spec, ok := root.child("spec")
	if !ok {
		d.require("spec")
	}
	h := &HardwareFile{File: file, Capabilities: spec.strings("capabilities", Grove, LWS, KAI, RDMA, Prometheus, GAIE)}
	h.Hardware = d.hardware(spec)
	root.close()
	d.checkHardware("spec", h.Hardware)
	if listed := slices.Contains(h.Capabilities, RDMA); h.RDMA != nil && h.Capabilities != nil && listed != *h.RDMA {
		d.problem("spec.rdma", "is %t, and capabilities say otherwise; keep both or one", *h.RDMA)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return h, nil
}

// checkHardware validates the fields that are given.
func (d *decoder) checkHardware(path string, h Hardware) {
	if h.GPUSKU != "" && d.has(path+".gpuSku") {
		d.checkSKU(path+".gpuSku", h.GPUSKU)
	}
	for _, n := range []struct {
		name  string
		value float64
	}{{"totalGpus", float64(h.TotalGPUs)}, {"numGpusPerNode", float64(h.GPUsPerNode)}, {"vramMb", h.VRAMMiB}} {
		if d.has(path+"."+n.name) && n.value <= 0 && !d.hasProblem(path+"."+n.name) {
			d.problem(path+"."+n.name, "must be positive, is %s", formatNumber(n.value))
		}
	}
	if d.has(path+".vramMb") && h.VRAMMiB > 0 && h.VRAMMiB < 1024 {
		d.warn(path+".vramMb", "is in MiB: %s is less than one GiB", formatNumber(h.VRAMMiB))
	}
}

// completeHardware fills the fields that the DGDR leaves out from the hardware
// file, unless that describes other GPUs, and reports what is still missing.
func (d *decoder) completeHardware(h *Hardware, file *HardwareFile) {
	if _, known := gpus[h.GPUSKU]; h.GPUSKU != "" && !known {
		return // one mistake, said by checkHardware
	}
	why := ""
	switch {
	case file == nil:
		why = "and there is no hardware.yaml; to describe the cluster's GPUs, write one at the root of the repository"
	case h.GPUSKU != "" && file.GPUSKU != "" && gpus[h.GPUSKU].system != gpus[file.GPUSKU].system:
		why = fmt.Sprintf("and %s describes %s; set it here, or describe these GPUs", file.File, file.GPUSKU)
	default:
		d.fillHardware(h, file.Hardware)
		why = "and " + file.File + " does not say it; complete it"
	}
	var missing []string
	for _, f := range []struct {
		name string
		zero bool
	}{{"gpuSku", h.GPUSKU == ""}, {"totalGpus", h.TotalGPUs == 0}, {"numGpusPerNode", h.GPUsPerNode == 0}} {
		if f.zero && !d.has("spec.hardware."+f.name) {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 && !d.hasProblem("spec.hardware") {
		d.problem("spec.hardware", "%s missing, %s:%s", strings.Join(missing, ", "), why, hardwareExample(*h))
	}
}

func (d *decoder) fillHardware(h *Hardware, from Hardware) {
	if !d.has("spec.hardware.gpuSku") {
		h.GPUSKU = from.GPUSKU
	}
	if !d.has("spec.hardware.totalGpus") {
		h.TotalGPUs = from.TotalGPUs
	}
	if !d.has("spec.hardware.numGpusPerNode") {
		h.GPUsPerNode = from.GPUsPerNode
	}
	if !d.has("spec.hardware.vramMb") {
		h.VRAMMiB = from.VRAMMiB
	}
	if !d.has("spec.hardware.interconnect") {
		h.Interconnect = from.Interconnect
	}
	if !d.has("spec.hardware.rdma") {
		h.RDMA = from.RDMA
	}
}

// hardwareExample is a complete hardware file, with what is known filled in.
func hardwareExample(h Hardware) string {
	if _, ok := gpus[h.GPUSKU]; !ok {
		h.GPUSKU = "h200_sxm"
	}
	if h.GPUsPerNode < 1 {
		h.GPUsPerNode = gpus[h.GPUSKU].gpusPerNode
	}
	if h.TotalGPUs < 1 {
		h.TotalGPUs = 2 * h.GPUsPerNode
	}
	return fmt.Sprintf(`
	apiVersion: %s
	kind: Hardware
	spec:
	  gpuSku: %s
	  totalGpus: %d
	  numGpusPerNode: %d`, hardwareFileVersion, h.GPUSKU, h.TotalGPUs, h.GPUsPerNode)
}
