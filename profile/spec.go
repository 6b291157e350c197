package profile

import "strings"

// spec reads the v1beta1 spec: every field that Dynamo 1.5 knows, and no other.
func (d *decoder) spec(o *object, s *Spec) {
	s.Model = o.string("model")
	s.Backend = Backend(o.enum("backend", "auto", "sglang", "trtllm", "vllm"))
	s.Image = o.string("image")
	s.RuntimeVersionOverride = o.string("runtimeVersionOverride")
	s.SearchStrategy = Strategy(o.enum("searchStrategy", "rapid", "thorough"))
	s.AutoApply = orTrue(o.bool("autoApply"))
	if c, ok := o.child("modelCache"); ok {
		s.ModelCache = &ModelCache{PVCName: c.string("pvcName"), PVCModelPath: c.string("pvcModelPath"), PVCMountPath: c.string("pvcMountPath")}
		c.close()
	}
	if c, ok := o.child("hardware"); ok {
		s.Hardware = d.hardware(c)
	}
	if c, ok := o.child("workload"); ok {
		s.Workload = Workload{ISL: orZero(c.int32("isl")), OSL: orZero(c.int32("osl")),
			Concurrency: c.number("concurrency"), RequestRate: c.number("requestRate")}
		c.close()
	}
	if c, ok := o.child("sla"); ok {
		s.SLA = SLA{TTFTMillis: c.number("ttft"), ITLMillis: c.number("itl"), E2ELatencyMillis: c.number("e2eLatency"),
			OptimizationType: c.enum("optimizationType", "latency", "throughput")}
		c.close()
	}
	if c, ok := o.child("overrides"); ok {
		s.Overrides = Overrides{ProfilingJob: c.tree("profilingJob"), DGD: c.tree("dgd")}
		c.close()
	}
	if c, ok := o.child("features"); ok {
		if n := c.values["planner"]; n != nil && isNull(n) {
			d.warn("spec.features.planner", "is null, which is off; write {} for a planner with defaults")
		}
		s.Features = Features{Planner: c.tree("planner"), Mocker: c.toggle("mocker"), KVRouter: c.toggle("kvRouter")}
		c.close()
	}
	o.close()
}

// toggle reads {enabled: bool}.
func (o *object) toggle(name string) bool {
	c, ok := o.child(name)
	if !ok {
		return false
	}
	on := c.bool("enabled")
	c.close()
	return on != nil && *on
}

// hardware reads spec.hardware of a DGDR and spec of a hardware file alike.
func (d *decoder) hardware(c *object) Hardware {
	h := Hardware{GPUSKU: strings.ToLower(c.string("gpuSku")), TotalGPUs: orZero(c.int32("totalGpus")),
		GPUsPerNode: orZero(c.int32("numGpusPerNode")), Interconnect: c.string("interconnect"), RDMA: c.bool("rdma")}
	if v := c.number("vramMb"); v != nil {
		h.VRAMMiB = *v
	}
	c.close()
	return h
}

func orTrue(b *bool) bool { return b == nil || *b }

func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
