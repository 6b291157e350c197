package profile

// alphaSpec reads a v1alpha1 spec and converts it as Dynamo's operator does
// (api/v1alpha1, dynamographdeploymentrequest_conversion.go): what has no place
// in v1beta1 is dropped, each with a warning.
func (d *decoder) alphaSpec(o *object, s *Spec) {
	s.Model = o.string("model")
	s.Backend = Backend(o.enum("backend", "auto", "sglang", "trtllm", "vllm"))
	if !d.has("spec.backend") {
		d.problem("spec.backend", "is required in v1alpha1; set auto, vllm, sglang or trtllm")
	}
	s.RuntimeVersionOverride = o.string("runtimeVersionOverride")
	auto := o.bool("autoApply")
	s.AutoApply = auto != nil && *auto
	if mocker := o.bool("useMocker"); mocker != nil {
		d.renamed["spec.features.mocker"] = "spec.useMocker"
		s.Features.Mocker = *mocker
	}
	o.bool("enableGpuDiscovery")
	d.drop(o, "enableGpuDiscovery", "")
	workers := d.alphaOverrides(o)
	profiling, ok := o.child("profilingConfig")
	if !ok {
		d.require("spec.profilingConfig")
	}
	s.Image = d.alphaProfiling(profiling, s, ok)
	if s.Image == "" && workers != "" {
		s.Image = workers
		d.renamed["spec.image"] = "spec.deploymentOverrides.workersImage"
	}
	o.close()
}

// drop warns of a field that v1beta1 has no place for.
func (d *decoder) drop(o *object, name, remedy string) {
	if o.take(name) != nil {
		d.warn(join(o.path, name), "is dropped, as Dynamo drops it for v1beta1%s", remedy)
	}
}

func (d *decoder) alphaOverrides(o *object) (workersImage string) {
	c, ok := o.child("deploymentOverrides")
	if !ok {
		return ""
	}
	d.drop(c, "name", "; set spec.overrides.dgd.metadata.name in v1beta1")
	for _, name := range []string{"namespace", "labels", "annotations"} {
		d.drop(c, name, "")
	}
	workersImage = c.string("workersImage")
	c.close()
	return workersImage
}

// alphaProfiling reads spec.profilingConfig and returns the image.
func (d *decoder) alphaProfiling(c *object, s *Spec, given bool) string {
	image := c.string("profilerImage")
	d.renamed["spec.image"] = join(c.path, "profilerImage")
	if given && image == "" && !d.has("spec.image") {
		d.require("spec.image")
	}
	for _, name := range []string{"configMapRef", "outputPVC"} {
		d.drop(c, name, "")
	}
	pod := map[string]any{"containers": []any{}}
	if r := c.tree("resources"); r != nil {
		pod["containers"] = []any{map[string]any{"name": "profiler", "resources": r}}
	}
	if n := c.take("tolerations"); n != nil {
		pod["tolerations"] = d.jsonTree(join(c.path, "tolerations"), n)
		d.renamed["spec.overrides.profilingJob.template.spec.tolerations"] = join(c.path, "tolerations")
	}
	if n := c.tree("nodeSelector"); n != nil {
		pod["nodeSelector"] = n
	}
	if len(pod) > 1 || d.has(join(c.path, "resources")) {
		s.Overrides.ProfilingJob = map[string]any{"template": map[string]any{"spec": pod}}
	}
	if config, ok := c.child("config"); ok {
		d.alphaConfig(config, s)
	}
	c.close()
	return image
}

// alphaConfig reads the free-form profilingConfig.config.
func (d *decoder) alphaConfig(c *object, s *Spec) {
	sla, _ := c.child("sla")
	d.renamed["spec.sla"], d.renamed["spec.workload"] = sla.path, sla.path
	s.SLA = SLA{TTFTMillis: sla.number("ttft"), ITLMillis: sla.number("itl"),
		OptimizationType: sla.enum("optimizationType", "latency", "throughput")}
	s.Workload = Workload{ISL: orZero(sla.int32("isl")), OSL: orZero(sla.int32("osl"))}
	d.dropRest(sla)

	deployment, _ := c.child("deployment")
	if cache, ok := deployment.child("modelCache"); ok {
		d.renamed["spec.modelCache"] = cache.path
		d.renamed["spec.modelCache.pvcModelPath"] = join(cache.path, "modelPathInPvc")
		s.ModelCache = &ModelCache{PVCName: cache.string("pvcName"), PVCModelPath: cache.string("modelPathInPvc"),
			PVCMountPath: cache.string("pvcMountPath")}
		d.dropRest(cache)
	}
	d.dropRest(deployment)

	if planner := c.tree("planner"); len(planner) > 0 {
		d.renamed["spec.features.planner"] = join(c.path, "planner")
		s.Features.Planner = planner
	}
	hardware, _ := c.child("hardware")
	for _, name := range []string{"gpuSku", "numGpusPerNode", "totalGpus", "vramMb"} {
		d.drop(hardware, name, "; describe the GPUs in hardware.yaml")
	}
	d.dropRest(hardware)
	d.dropRest(c)
}

// dropRest warns of every field that nobody took: the schema leaves this object
// open, so Dynamo refuses none.
func (d *decoder) dropRest(o *object) {
	for _, k := range o.rest() {
		d.warn(join(o.path, cut(k.Value)), "is dropped, as Dynamo drops it for v1beta1")
	}
}
