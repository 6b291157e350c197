package render

import (
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// normalize copies a document that was read into normal form. Keys keep their
// order. profile.Documents has resolved aliases and merge keys.
func normalize(node *yaml.Node) (*yaml.Node, *profile.Problem) {
	out := &yaml.Node{Kind: node.Kind}
	switch node.Kind {
	case yaml.ScalarNode:
		return scalar(node)
	case yaml.SequenceNode:
		for _, item := range node.Content {
			n, err := normalize(item)
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, n)
		}
		return flow(out), nil
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			n, err := normalize(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, text(node.Content[i].Value), n)
		}
		return flow(out), nil
	}
	return nil, &profile.Problem{Line: node.Line, Message: "not a value"}
}

// scalar reads a scalar by YAML 1.2's core rules, which leave yes, no, on, off
// and dates strings, and writes the value in a form that YAML 1.1 reads alike.
func scalar(node *yaml.Node) (*yaml.Node, *profile.Problem) {
	bad := func(message string) *profile.Problem { return &profile.Problem{Line: node.Line, Message: message} }
	switch node.ShortTag() {
	case "!!str", "!!timestamp":
		return text(node.Value), nil
	case "!!null":
		return plain("null"), nil
	case "!!bool":
		var v bool
		if err := node.Decode(&v); err != nil {
			return nil, bad(err.Error())
		}
		return tree(v), nil
	case "!!int":
		return integer(node)
	case "!!float":
		var v float64
		if err := node.Decode(&v); err != nil {
			return nil, bad(err.Error())
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, bad("is no number that JSON has: " + node.Value)
		}
		return number(v), nil
	}
	return nil, bad("tag " + node.ShortTag() + " is not supported")
}

// integer writes hexadecimal, octal and binary numbers in decimal.
func integer(node *yaml.Node) (*yaml.Node, *profile.Problem) {
	var signed int64
	if err := node.Decode(&signed); err == nil {
		return tree(signed), nil
	}
	var unsigned uint64
	if err := node.Decode(&unsigned); err != nil {
		return nil, &profile.Problem{Line: node.Line, Message: err.Error()}
	}
	return plain(strconv.FormatUint(unsigned, 10)), nil
}
