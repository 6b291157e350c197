package render

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The encoder of everything that is printed. A document has a normal form that
// every reader takes for the same JSON, be it YAML 1.1 (Argo CD, kubectl) or
// 1.2: mappings and sequences in block style, no anchors, aliases, tags or
// comments; each scalar plain where its plain form means the same everywhere,
// else quoted.

// maxOutput bounds what is rendered at once: a few bytes can stand for gigabytes, as
// aliases do. It is some thousand deployments, and below the 100 MB that Argo CD takes
// from a repo-server (its ARGOCD_GRPC_MAX_SIZE_MB).
const maxOutput = 64 << 20

// output is a stream that is written no further than it may be long.
type output struct {
	bytes.Buffer
	full bool // something was not written; the encoder does not wrap our error
}

func (o *output) Write(p []byte) (int, error) {
	if o.full = o.full || o.Len()+len(p) > maxOutput; o.full {
		return 0, io.ErrShortWrite
	}
	return o.Buffer.Write(p)
}

// encode writes documents as one YAML stream.
func encode(stream []manifest) ([]byte, error) {
	var b output
	for i, m := range stream {
		if i > 0 {
			b.WriteString("---\n")
		}
		enc := yaml.NewEncoder(&b) // one per document: the encoder's own separator depends on its state
		enc.SetIndent(2)
		enc.CompactSeqIndent()
		if err := enc.Encode(m.node); b.full {
			return nil, profile.Problems{{File: m.source.File, Line: m.source.Line, Message: fmt.Sprintf(
				"with %s %q the output is more than the %d bytes allowed; to render it, split the directory", m.kind, m.name, maxOutput)}}
		} else if err != nil {
			return nil, fmt.Errorf("%s: encoding %s %q: %w", m.position(), m.kind, m.name, err)
		}
		if err := enc.Close(); err != nil {
			return nil, fmt.Errorf("%s: encoding %s %q: %w", m.position(), m.kind, m.name, err)
		}
	}
	return b.Bytes(), nil
}

// tree is the normal form of a generated JSON tree, keys in the order in which
// Dynamo writes them. A value of another type is a mistake of ours.
func tree(v any) *yaml.Node {
	switch v := v.(type) {
	case object:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range slices.SortedFunc(maps.Keys(v), byRank) {
			node.Content = append(node.Content, text(key), tree(v[key]))
		}
		return flow(node)
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			node.Content = append(node.Content, tree(item))
		}
		return flow(node)
	case string:
		return text(v)
	case bool:
		return plain(strconv.FormatBool(v))
	case int64:
		return plain(strconv.FormatInt(v, 10))
	case float64:
		return number(v)
	case nil:
		return plain("null")
	}
	panic(fmt.Sprintf("encoding a %T", v))
}

// rank is the place of the keys that are not in alphabetical order. It follows
// the order in Dynamo's own output, so that the two can be compared by eye.
func rank(key string) int {
	order := [...]string{
		"apiVersion", "kind", "metadata", "name", "namespace", "labels", "annotations",
		"type", "runtimeVersionOverride", "replicas", "minAvailable", "multinode", "podTemplate",
		"image", "workingDir", "command", "args", "resources", "env", "volumeMounts", "envFrom",
	}
	if i := slices.Index(order[:], key); i >= 0 {
		return i
	}
	return len(order)
}

func byRank(a, b string) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

// flow writes an empty collection as {} or [], the only form it has.
func flow(node *yaml.Node) *yaml.Node {
	if len(node.Content) == 0 {
		node.Style = yaml.FlowStyle
	}
	return node
}

func plain(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: value}
}

// number writes whole numbers without exponent or point, as JSON encoders do.
func number(f float64) *yaml.Node {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return plain(strconv.FormatInt(int64(f), 10))
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if mantissa, exponent, ok := strings.Cut(s, "e"); ok && !strings.Contains(mantissa, ".") {
		s = mantissa + ".0e" + exponent // YAML 1.1 has no float without a point
	}
	return plain(s)
}

// text writes a string: literal where it has lines, else plain or quoted.
func text(s string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case strings.Contains(s, "\n"):
		node.Style = yaml.LiteralStyle
	case ambiguous(s):
		node.Style = yaml.SingleQuotedStyle
	}
	return node
}

// ambiguous says whether some YAML reader takes the plain form of s for
// something else than a string: YAML 1.1's booleans, the nulls, and whatever
// looks like a number, a sexagesimal or a date. Quoting too much is harmless.
func ambiguous(s string) bool {
	switch strings.ToLower(s) {
	case "", "~", "null", "y", "n", "yes", "no", "on", "off", "true", "false", "=", "<<", ".inf", ".nan":
		return true
	}
	rest := strings.TrimLeft(s, "+-.")
	if rest == "" || (rest[0] < '0' || rest[0] > '9') && !strings.EqualFold(rest, "inf") {
		return false
	}
	return strings.Trim(strings.ToLower(rest), "0123456789abcdefox_.:+-tz inf") == ""
}
