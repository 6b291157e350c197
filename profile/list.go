package profile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// element is the path of an item of a list.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// list returns the items of a field that is a list.
func (o *object) list(name string) []*yaml.Node {
	n := o.take(name)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		o.d.problem(join(o.path, name), "must be a list, is %s", describe(n))
		return nil
	}
	return n.Content
}

// objects reads a list of mappings.
func (o *object) objects(name string, read func(*object)) {
	for i, n := range o.list(name) {
		at := element(join(o.path, name), i)
		if n.Kind != yaml.MappingNode {
			o.d.problem(at, "must be an object, is %s", describe(n))
			continue
		}
		read(o.d.object(at, n))
	}
}

// strings reads a list of strings without repetition; nil when it is absent.
func (o *object) strings(name string, allowed ...string) []string {
	items := o.list(name)
	if items == nil && o.values[name] == nil {
		return nil
	}
	out := []string{}
	for i, n := range items {
		at := element(join(o.path, name), i)
		switch {
		case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
			o.d.problem(at, "must be a string, is %s", describe(n))
		case len(allowed) > 0 && !slices.Contains(allowed, n.Value):
			o.d.problem(at, "must be one of %s, is %s%s", strings.Join(allowed, ", "), quote(n.Value), DidYouMean(n.Value, allowed))
		case slices.Contains(out, n.Value):
			o.d.problem(at, "%s is there already", quote(n.Value))
		}
		out = append(out, n.Value)
	}
	return out
}

func isTrue(b *bool) bool { return b != nil && *b }

// positiveQuantity is what the API server takes as the size of something.
var positiveQuantity = regexp.MustCompile(`^[0-9]*[1-9][0-9]*(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$`)

func (d *decoder) quantity(path, value string) {
	if !positiveQuantity.MatchString(value) && !d.hasProblem(path) {
		d.problem(path, "must be a quantity such as 500Gi, is %s", quote(value))
	}
}

func (d *decoder) objectName(path, name string) {
	if (!subdomain.MatchString(name) || len(name) > maxKeyHost) && !d.hasProblem(path) {
		d.problem(path, "must be the name of an object, is %s", quote(name))
	}
}

// image holds the form of a reference that is given.
func (d *decoder) image(path, image string) {
	if image != "" && (!imageReference.MatchString(image) || len(image) > 1024) {
		d.problem(path, "is no image reference: %s", quote(image))
	}
}
