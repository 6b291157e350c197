package profile

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultImage is the profiler image of a DGDR that names none, as Dynamo's
// defaulting webhook of this release fills it in.
const DefaultImage = "nvcr.io/nvidia/ai-dynamo/dynamo-planner:1.5.1"

// Defaults is what a DGDR may leave to its surroundings.
type Defaults struct {
	Hardware *HardwareFile // nil when the repository describes no hardware
	Image    string        // empty for DefaultImage
	Config   *Config       // nil when the directory has none
}

// maxRequestValues bounds one DGDR; the API server would take no larger one.
const maxRequestValues = 20_000

// Parse reads one DGDR strictly, fills Dynamo's defaults in and validates the
// result by every rule of Dynamo that needs no cluster. The error is a Problems
// with all that is wrong, in the order of the lines.
func Parse(d Document, def Defaults) (*Request, error) {
	if !d.IsRequest() {
		return nil, Problems{{File: d.File, Line: d.Line, Message: "is not a " + requestKind + " of group nvidia.com"}}
	}
	if countValues(d.Root) > maxRequestValues {
		return nil, Problems{{File: d.File, Line: d.Line, Message: fmt.Sprintf("holds more than the %d values a request may", maxRequestValues)}}
	}
	dec := newDecoder(d)
	req := &Request{File: d.File, Line: d.Line, Document: d.Index}
	root := dec.object("", d.Root)
	root.ignore("apiVersion", "kind")
	dec.metadata(root, req)
	if root.take("status") != nil {
		dec.warn("status", "is ignored; it belongs to the cluster")
	}
	spec, ok := root.child("spec")
	root.close()
	switch {
	case !ok:
		dec.require("spec")
	case d.APIVersion == "nvidia.com/v1beta1":
		dec.spec(spec, &req.Spec)
	case d.APIVersion == "nvidia.com/v1alpha1":
		dec.alphaSpec(spec, &req.Spec)
	default:
		dec.problem("apiVersion", "must be nvidia.com/v1beta1 or nvidia.com/v1alpha1, is %s", quote(d.APIVersion))
		return nil, dec.problems.sorted()
	}
	if ok {
		dec.complete(&req.Spec, def)
		dec.validate(req)
	}
	if len(dec.problems) > 0 {
		return nil, dec.problems.sorted()
	}
	req.Warnings = dec.warnings.sorted()
	req.lines, req.renamed = dec.lines, dec.renamed
	req.Config = def.Config
	if def.Hardware != nil {
		req.Capabilities = def.Hardware.Capabilities
	}
	return req, nil
}

// complete fills in what the DGDR leaves to defaults and to its surroundings.
func (d *decoder) complete(s *Spec, def Defaults) {
	if s.Backend == "" {
		s.Backend = BackendAuto
	}
	if s.SearchStrategy == "" {
		s.SearchStrategy = StrategyRapid
	}
	if s.Image == "" {
		s.Image = cmp.Or(def.Image, DefaultImage)
	}
	if !d.has("spec.workload.isl") {
		s.Workload.ISL = defaultISL
	}
	if !d.has("spec.workload.osl") {
		s.Workload.OSL = defaultOSL
	}
	if s.ModelCache != nil && s.ModelCache.PVCMountPath == "" {
		s.ModelCache.PVCMountPath = "/opt/model-cache"
	}
	d.completeHardware(&s.Hardware, def.Hardware)
}

var (
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	labelName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
)

const (
	maxLabel   = 63
	maxKeyHost = 253
)

// metadata reads the object's metadata; what the API server owns is tolerated.
func (d *decoder) metadata(root *object, req *Request) {
	m, _ := root.child("metadata")
	req.Name = m.string("name")
	req.Namespace = m.string("namespace")
	req.Labels = m.stringMap("labels")
	req.Annotations = m.stringMap("annotations")
	if m.string("generateName") != "" {
		d.problem("metadata.generateName", "is not supported: the manifests need a stable name; set metadata.name")
	}
	m.ignore(ownedMetadata()...)
	m.close()
	switch {
	case req.Name == "":
		if !d.hasProblem("metadata") && !d.hasProblem("metadata.generateName") {
			d.require("metadata.name")
		}
	case !subdomain.MatchString(req.Name) || len(req.Name) > maxLabel:
		d.problem("metadata.name", "must be at most 63 lower case letters, digits, '-' and '.', beginning and ending with a letter or digit, is %s", quote(req.Name))
	}
	if req.Namespace != "" && (!dnsLabel.MatchString(req.Namespace) || len(req.Namespace) > maxLabel) {
		d.problem("metadata.namespace", "must be at most 63 lower case letters, digits and '-', is %s", quote(req.Namespace))
	}
	for _, key := range sortedKeys(req.Labels) {
		d.metadataKey("metadata.labels", key)
		if v := req.Labels[key]; v != "" && (!labelName.MatchString(v) || len(v) > maxLabel) {
			d.problem("metadata.labels."+key, "must be at most 63 letters, digits, '-', '_' and '.', is %s", quote(v))
		}
	}
	for _, key := range sortedKeys(req.Annotations) {
		d.metadataKey("metadata.annotations", key)
	}
}

// ownedMetadata are the fields of metadata that the API server fills in.
func ownedMetadata() []string {
	return []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "managedFields", "selfLink", "ownerReferences", "finalizers"}
}

func (d *decoder) metadataKey(path, key string) {
	host, name, ok := strings.Cut(key, "/")
	if !ok {
		host, name = "", key
	}
	if !labelName.MatchString(name) || len(name) > maxLabel || ok && (!subdomain.MatchString(host) || len(host) > maxKeyHost) {
		d.problem(path+"."+cut(key), "is no valid key; write name or domain/name")
	}
}

func countValues(n *yaml.Node) int {
	count := 1
	for _, c := range n.Content {
		count += countValues(c)
	}
	return count
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
