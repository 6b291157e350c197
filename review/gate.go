package review

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Gate is what a change may not bring.
type Gate struct {
	words []string
	gpus  *int
	cost  *float64
}

// Violation is a request, as Head has it, that the gate refuses.
type Violation struct {
	Dir     string `json:"dir"`
	Request string `json:"request"`
	Rule    string `json:"rule"` // as the gate names it
	Message string `json:"message"`
}

// gateWords are the rules without a number.
func gateWords() []string {
	return []string{"naive", "imported", "estimated", "simulated", "estimate", "sla-missed"}
}

// ParseGate reads rules: naive, imported, estimated and simulated are confidences, estimate is a
// result that stands in for a measurement, sla-missed a target that is missed or was
// never looked at, gpus>N and cost>N the GPUs of a request and their price per hour.
func ParseGate(rules []string) (*Gate, error) {
	g := &Gate{}
	for _, rule := range rules {
		name, limit, compared := strings.Cut(rule, ">")
		switch {
		case !compared && slices.Contains(gateWords(), rule):
			g.words = append(g.words, rule)
			continue
		case compared && name == "gpus":
			if n, err := strconv.Atoi(limit); err == nil && n >= 0 {
				g.gpus = &n
				continue
			}
		case compared && name == "cost":
			if f, err := strconv.ParseFloat(limit, 64); err == nil && f >= 0 {
				g.cost = &f
				continue
			}
		}
		return nil, fmt.Errorf("unknown rule %.50q, want some of %s, gpus>N, cost>N", rule, strings.Join(gateWords(), ", "))
	}
	return g, nil
}

// NeedsPrices says whether a rule is about cost.
func (g *Gate) NeedsPrices() bool { return g.cost != nil }

// Violations are those of the requests that a change adds or alters, in their order.
func (g *Gate) Violations(changes []Change) []Violation {
	out := []Violation{}
	for _, c := range changes {
		for _, r := range c.Requests {
			if r.Head == nil {
				continue
			}
			for _, v := range g.of(r.Head) {
				v.Dir, v.Request = c.Dir, r.Name
				out = append(out, v)
			}
		}
	}
	return out
}

func (g *Gate) of(s *Standing) []Violation {
	var out []Violation
	for _, word := range g.words {
		switch {
		case word == "estimate" && s.Estimate:
			out = append(out, Violation{Rule: word, Message: "is an estimate until the measurement lands"})
		case word == "sla-missed" && s.SLA != "met":
			out = append(out, Violation{Rule: word, Message: "its SLA is " + s.SLA})
		case profile.Confidence(word) == s.Confidence:
			out = append(out, Violation{Rule: word, Message: "its result is " + word})
		}
	}
	if g.gpus != nil && s.GPUs > *g.gpus {
		out = append(out, Violation{Rule: fmt.Sprintf("gpus>%d", *g.gpus), Message: fmt.Sprintf("takes %d GPUs", s.GPUs)})
	}
	if g.cost != nil {
		rule := "cost>" + number(*g.cost)
		switch {
		case s.CostPerHour == nil:
			out = append(out, Violation{Rule: rule, Message: "costs what nobody knows: no price for " + s.SKU})
		case *s.CostPerHour > *g.cost:
			out = append(out, Violation{Rule: rule, Message: fmt.Sprintf("costs %s per hour", number(*s.CostPerHour))})
		}
	}
	return out
}

func number(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}
