package profile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configKind is the kind that ParseConfig reads, of the hardware file's apiVersion.
const configKind = "DynamoCMPConfig"

// Config is a DynamoCMPConfig: what is rendered around the deployments of its
// directory, and for which Dynamo. Without one, only the deployments are.
type Config struct {
	DynamoVersion    string    // as 1.5; empty where the file leaves it out
	ModelCache       *Claim    // the claim that spec.modelCache of a DGDR names
	Download         *Download // fills that claim
	Benchmark        *Benchmark
	Adapters         []Adapter
	PodMonitors      bool
	MaxUnavailable   string // of the disruption budgets, a count or a percentage; empty for no budgets
	CompilationCache *Claim
	ImagePullSecrets []string
	Registries       []Registry // the longest From first
	Queue            string     // of the KAI scheduler

	File string
	Line int

	lines map[string]int
}

// Claim is a PersistentVolumeClaim to render.
type Claim struct {
	Size         string
	StorageClass string // empty for the cluster's default
	AccessMode   string
}

// Download is the Job that puts a model into its claim.
type Download struct {
	Image       string // with Python and huggingface_hub; empty for the engine's own
	TokenSecret string // has the token under HF_TOKEN
	Resources   map[string]any
}

// Benchmark is the Job that measures a deployment against its request.
type Benchmark struct {
	Image     string  // with Python and aiperf
	Tolerance float64 // 0.1: a latency may be a tenth above its target
}

// Adapter is a LoRA adapter of the model.
type Adapter struct {
	Name   string
	Source string // s3://, hf:// or file:///
}

// Registry is a prefix of image names that is replaced by another.
type Registry struct{ From, To string }

// IsConfig reports whether the document is a DynamoCMPConfig, in whichever version.
func (d Document) IsConfig() bool {
	group, _, _ := strings.Cut(d.APIVersion, "/")
	hardware, _, _ := strings.Cut(hardwareFileVersion, "/")
	return d.Kind == configKind && group == hardware
}

// ParseConfig reads a DynamoCMPConfig strictly; versions are the Dynamo versions
// that it may name. The error is a Problems with all that is wrong.
func ParseConfig(doc Document, versions []string) (*Config, error) {
	d := newDecoder(doc)
	root := d.object("", doc.Root)
	if v := root.string("apiVersion"); v != hardwareFileVersion {
		d.problem("apiVersion", "must be %s, is %s", hardwareFileVersion, quote(v))
	}
	root.ignore("kind", "metadata")
	spec, ok := root.child("spec")
	if !ok {
		d.require("spec")
	}
	c := &Config{File: doc.File, Line: doc.Line, lines: d.lines}
	d.config(spec, c, versions)
	root.close()
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

// Problem says what is wrong at a field of the config, with its position.
func (c *Config) Problem(path, message string) Problem {
	return Problem{File: c.File, Line: locate(c.lines, path, c.Line), Path: path, Message: message}
}

func (d *decoder) config(o *object, c *Config, versions []string) {
	c.DynamoVersion = o.enum("dynamoVersion", versions...)
	if m, ok := o.child("modelCache"); ok {
		d.modelCache(m, c)
	}
	if b, ok := o.child("benchmark"); ok {
		c.Benchmark = d.benchmark(b)
	}
	o.objects("loraAdapters", func(a *object) {
		c.Adapters = append(c.Adapters, d.adapter(a, c.Adapters))
	})
	c.PodMonitors = isTrue(o.bool("podMonitors"))
	if b, ok := o.child("podDisruptionBudgets"); ok {
		c.MaxUnavailable = d.share(b, "maxUnavailable")
		b.close()
	}
	if m, ok := o.child("compilationCache"); ok {
		c.CompilationCache = d.claim(m)
		m.close()
	}
	c.ImagePullSecrets = o.strings("imagePullSecrets")
	for i, name := range c.ImagePullSecrets {
		d.objectName(element("spec.imagePullSecrets", i), name)
	}
	o.objects("registries", func(r *object) {
		c.Registries = append(c.Registries, d.registry(r, c.Registries))
	})
	slices.SortStableFunc(c.Registries, func(a, b Registry) int { return len(b.From) - len(a.From) })
	if c.Queue = o.string("queue"); c.Queue != "" && (!labelName.MatchString(c.Queue) || len(c.Queue) > maxLabel) {
		d.problem("spec.queue", "must be the name of a queue, is %s", quote(c.Queue))
	}
	o.close()
}

// modelCache reads the claim and the download; either alone is enough.
func (d *decoder) modelCache(o *object, c *Config) {
	if o.values["size"] != nil || o.values["download"] == nil {
		c.ModelCache = d.claim(o)
	} else {
		for _, name := range []string{"storageClassName", "accessMode"} {
			if o.take(name) != nil {
				d.problem(join(o.path, name), "is of a claim, which is rendered with a size only")
			}
		}
		o.ignore("size")
	}
	if j, ok := o.child("download"); ok {
		c.Download = &Download{Image: j.string("image"), TokenSecret: cmp.Or(j.string("tokenSecret"), "hf-token-secret")}
		d.image(j.path+".image", c.Download.Image)
		d.objectName(j.path+".tokenSecret", c.Download.TokenSecret)
		if r, ok := j.child("resources"); ok {
			c.Download.Resources = d.resources(r)
		}
		j.close()
	}
	o.close()
}

// claim reads the fields of a claim and leaves the object open.
func (d *decoder) claim(o *object) *Claim {
	c := &Claim{Size: o.string("size"), StorageClass: o.string("storageClassName"),
		AccessMode: cmp.Or(o.enum("accessMode", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"), "ReadWriteMany")}
	if !d.has(o.path + ".size") {
		d.require(o.path + ".size")
	} else {
		d.quantity(o.path+".size", c.Size)
	}
	if c.StorageClass != "" {
		d.objectName(o.path+".storageClassName", c.StorageClass)
	}
	return c
}

func (d *decoder) benchmark(o *object) *Benchmark {
	b := &Benchmark{Image: o.string("image")}
	if !d.has(o.path + ".image") {
		d.problem(o.path+".image", "is required: an image with Python and aiperf")
	}
	d.image(o.path+".image", b.Image)
	if t := o.number("tolerance"); t != nil {
		if b.Tolerance = *t; *t < 0 || *t > 1 {
			d.problem(o.path+".tolerance", "is a share from 0 to 1 (0.1 is 10 %%), is %s", formatNumber(*t))
		}
	}
	o.close()
	return b
}

func (d *decoder) adapter(o *object, before []Adapter) Adapter {
	a := Adapter{Name: o.string("name"), Source: o.string("source")}
	o.close()
	switch {
	case a.Name == "":
		d.require(o.path + ".name")
	case !modelName.MatchString(a.Name) || climbs(a.Name):
		d.problem(o.path+".name", "must be the name that requests ask for, such as acme/support-lora, is %s", quote(a.Name))
	case slices.ContainsFunc(before, func(b Adapter) bool { return b.Name == a.Name }):
		d.problem(o.path+".name", "%s is there already", quote(a.Name))
	}
	scheme, rest, _ := strings.Cut(a.Source, "://")
	switch {
	case a.Source == "":
		d.require(o.path + ".source")
	case !slices.Contains([]string{"s3", "hf", "file"}, scheme) || rest == "" || scheme == "file" && !strings.HasPrefix(rest, "/"):
		d.problem(o.path+".source", "must be s3://bucket/path, hf://org/model@revision or file:///path, is %s", quote(a.Source))
	}
	return a
}

func (d *decoder) registry(o *object, before []Registry) Registry {
	r := Registry{From: o.string("from"), To: o.string("to")}
	o.close()
	for _, f := range []struct{ name, value string }{{"from", r.From}, {"to", r.To}} {
		m := imageReference.FindStringSubmatch(f.value)
		switch at := join(o.path, f.name); {
		case f.value == "":
			d.require(at)
		case m == nil || m[1] != f.value && !strings.Contains(f.value, ":") || m[3] != "":
			d.problem(at, "must be a registry or a path in one, such as nvcr.io/nvidia, is %s", quote(f.value))
		}
	}
	if slices.ContainsFunc(before, func(b Registry) bool { return b.From == r.From }) {
		d.problem(o.path+".from", "%s is there already", quote(r.From))
	}
	return r
}

// resources reads what a container requests and may take, as quantities.
func (d *decoder) resources(o *object) map[string]any {
	out := map[string]any{}
	for _, kind := range []string{"limits", "requests"} {
		side, ok := o.child(kind)
		if !ok {
			continue
		}
		amounts := map[string]any{}
		for _, k := range side.keys {
			amounts[k.Value] = side.amount(k.Value)
		}
		out[kind] = amounts
	}
	o.close()
	return out
}

// amount reads a quantity, which may be a bare number.
func (o *object) amount(name string) string {
	n := o.take(name)
	if n == nil || n.Kind != yaml.ScalarNode {
		o.d.problem(join(o.path, name), "must be a quantity")
		return ""
	}
	o.d.quantity(join(o.path, name), n.Value)
	return n.Value
}

// share reads a count, or a percentage, of pods.
func (d *decoder) share(o *object, name string) string {
	n := o.take(name)
	at := join(o.path, name)
	if n == nil {
		d.require(at)
		return ""
	}
	number, _ := strings.CutSuffix(n.Value, "%")
	if v, err := strconv.ParseUint(number, 10, 31); n.Kind != yaml.ScalarNode || err != nil || number != n.Value && v > 100 {
		d.problem(at, "must be a number of pods or a percentage such as 25%%, is %s", quote(n.Value))
	}
	return n.Value
}
