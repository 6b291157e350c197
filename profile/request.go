package profile

// Request is one DGDR, parsed strictly, defaulted and valid. Parse is its only
// maker, so nothing that holds a Request validates it again.
//
// The fields mirror nvidia.com/v1beta1; a pointer is used only where "absent"
// differs from the zero value.
type Request struct {
	Name        string
	Namespace   string
	Labels      map[string]string
	Annotations map[string]string
	Spec        Spec

	// Config is what the directory says beside the DGDR, Capabilities what the
	// hardware file says of the cluster; nil where they say nothing.
	Config       *Config
	Capabilities []string

	// File and Line say where the DGDR begins; Document is the index of its YAML
	// document in that file.
	File     string
	Line     int
	Document int
	// Warnings are things that the author should know but that stop nothing.
	Warnings []Problem

	lines   map[string]int    // field path as written -> line
	renamed map[string]string // v1beta1 path -> path as written, where they differ
}

// Spec is the desired deployment, with Dynamo's defaults filled in.
type Spec struct {
	Model                  string
	Backend                Backend
	Image                  string // the profiler image, from which the runtime images are derived
	RuntimeVersionOverride string // X.Y.Z, for images whose tag is no version
	ModelCache             *ModelCache
	Hardware               Hardware
	Workload               Workload
	SLA                    SLA
	Overrides              Overrides
	Features               Features
	SearchStrategy         Strategy
	AutoApply              bool
}

// ModelCache is a claim that holds the model's weights.
type ModelCache struct {
	PVCName      string
	PVCModelPath string // as written; may be empty
	PVCMountPath string // default /opt/model-cache
}

// Hardware is the GPUs a deployment may use. After Parse, GPUSKU, TotalGPUs and
// GPUsPerNode are set.
type Hardware struct {
	GPUSKU       string  // as written, lower case: h200_sxm
	VRAMMiB      float64 // spec.hardware.vramMb, which is MiB despite its name; 0 when not given
	TotalGPUs    int     // GPU budget
	GPUsPerNode  int
	Interconnect string // metadata only
	RDMA         *bool  // metadata only
}

// Workload is the traffic to size for. At most one of Concurrency and
// RequestRate is set.
type Workload struct {
	ISL         int      // input tokens per request
	OSL         int      // output tokens per request
	Concurrency *float64 // requests in flight
	RequestRate *float64 // requests per second
}

// SLA is the latency wanted, in milliseconds, as far as the author said. Either
// E2ELatencyMillis or the other two may be set; Targets fills the defaults in.
type SLA struct {
	TTFTMillis       *float64
	ITLMillis        *float64
	E2ELatencyMillis *float64
	OptimizationType string // latency, throughput or empty; no effect in Dynamo 1.5
}

// Dynamo's defaults where the DGDR names no length or latency
// (profiler/utils/dgdr_v1beta1_types.py).
const (
	defaultISL        = 4000
	defaultOSL        = 1000
	defaultTTFTMillis = 2000
	defaultITLMillis  = 30
)

// Targets is the latency that a profiler has to meet. With an end-to-end target
// TTFT and ITL are bounded by it alone, as Dynamo does.
func (s SLA) Targets() Targets {
	if s.E2ELatencyMillis != nil {
		e2e := *s.E2ELatencyMillis
		return Targets{TTFTMillis: e2e, ITLMillis: e2e, E2ELatencyMillis: e2e}
	}
	t := Targets{TTFTMillis: defaultTTFTMillis, TTFTAssumed: true, ITLMillis: defaultITLMillis, ITLAssumed: true}
	if s.TTFTMillis != nil {
		t.TTFTMillis, t.TTFTAssumed = *s.TTFTMillis, false
	}
	if s.ITLMillis != nil {
		t.ITLMillis, t.ITLAssumed = *s.ITLMillis, false
	}
	return t
}

// Overrides are partial objects merged over what is generated, as JSON trees
// (map[string]any, []any, string, float64, bool); nil when not given.
type Overrides struct {
	ProfilingJob map[string]any // a batch/v1 JobSpec; shapes the profiling Job alone
	DGD          map[string]any // a partial DynamoGraphDeployment
}

// Features are the parts of Dynamo that a DGDR switches on.
type Features struct {
	Planner  map[string]any // the PlannerConfig as written, without "enabled"; nil when the planner is off
	Mocker   bool
	KVRouter bool
}

// Locate returns the line of the field at the v1beta1 path (spec.workload.isl),
// or of its nearest parent that the file holds.
func (r *Request) Locate(path string) int {
	return locate(r.lines, written(r.renamed, path), r.Line)
}

// Says reports whether the DGDR itself holds a value at the v1beta1 path, rather
// than its surroundings.
func (r *Request) Says(path string) bool {
	_, ok := r.lines[written(r.renamed, path)]
	return ok
}

// Problem says what is wrong at a field of the request, with its position. The
// path is that of v1beta1; the problem shows it as the file writes it.
func (r *Request) Problem(path, message string) Problem {
	return Problem{File: r.File, Line: r.Locate(path), Path: written(r.renamed, path), Message: message}
}

func locate(lines map[string]int, path string, document int) int {
	for path != "" {
		if line, ok := lines[path]; ok {
			return line
		}
		path = parentPath(path)
	}
	return document
}

// written translates a v1beta1 path into the path of the file, by its longest
// renamed parent.
func written(renamed map[string]string, path string) string {
	for p := path; p != ""; p = parentPath(p) {
		if as, ok := renamed[p]; ok {
			return as + path[len(p):]
		}
	}
	return path
}

// parentPath drops the last element of a field path: a.b[2].c -> a.b[2] -> a.b -> a.
func parentPath(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}
