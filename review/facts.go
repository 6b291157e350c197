package review

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// fact is a row of what matters of a request; a side without it has "".
type fact struct {
	name, base, head string
}

// facts are those of a request that either side knows.
func (r *RequestChange) facts(currency string) []fact {
	b, h := r.Base.facts(currency), r.Head.facts(currency)
	var out []fact
	for i, name := range factNames() {
		if b[i] != "" || h[i] != "" {
			out = append(out, fact{name, b[i], h[i]})
		}
	}
	return out
}

func factNames() []string {
	return []string{"Topology", "GPUs", "TTFT", "ITL", "Request latency", "Throughput", "SLA", "Confidence", "Cost"}
}

// facts are in the order of factNames.
func (s *Standing) facts(currency string) []string {
	if s == nil {
		return make([]string, len(factNames()))
	}
	out := []string{string(s.Backend) + " " + s.Topology, s.hardware(), "", "", "", "", s.SLA, s.trust(), s.cost(currency)}
	if m := s.Expected; m != nil {
		out[2] = latency(m.TTFTMillis, s.Targets.TTFTMillis)
		out[3] = latency(m.ITLMillis, s.Targets.ITLMillis)
		if s.Targets.E2ELatencyMillis > 0 {
			out[4] = latency(m.RequestLatencyMillis, s.Targets.E2ELatencyMillis)
		}
		out[5] = number(m.TokensPerSecondPerGPU) + " tokens/s/GPU"
	}
	return out
}

func latency(expected, target float64) string {
	if target <= 0 {
		return number(expected) + " ms"
	}
	return fmt.Sprintf("%s of %s ms", number(expected), number(target))
}

func (s *Standing) hardware() string {
	if s.GPUs == 0 {
		return "none"
	}
	text := fmt.Sprintf("%d %s on %s", s.GPUs, s.SKU, plural(s.Nodes, "node"))
	if s.Autoscaled {
		text += " to start with; the planner scales"
	}
	return text
}

func (s *Standing) trust() string {
	text := string(s.Confidence)
	if s.Profiler != "" {
		text += ", " + s.Profiler
	}
	if s.Estimate {
		text += "; an estimate until the measurement lands"
	}
	return text
}

func (s *Standing) cost(currency string) string {
	if s.CostPerHour == nil {
		return ""
	}
	return money(*s.CostPerHour, currency) + " per hour"
}

func money(amount float64, currency string) string {
	return strings.TrimSpace(strconv.FormatFloat(amount, 'f', 2, 64) + " " + currency)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// headline is the review in a line.
func (r *Review) headline() string {
	counts := map[string]int{}
	var gpus [2]int
	var cost [2]float64
	priced := true
	failed := 0
	for _, c := range r.Apps {
		if c.Status == Failed {
			failed++
		}
		for _, q := range c.Requests {
			counts[q.Status]++
			for side, s := range []*Standing{q.Base, q.Head} {
				if s == nil {
					continue
				}
				gpus[side] += s.GPUs
				if s.CostPerHour == nil {
					priced = false
					continue
				}
				cost[side] += *s.CostPerHour
			}
		}
	}
	var parts []string
	for _, status := range []string{Added, Removed, Moved, Renamed, Changed} {
		if n := counts[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", plural(n, "request"), status))
		}
	}
	if len(parts) == 0 && r.Differs() {
		parts = append(parts, "other manifests changed")
	}
	if failed > 0 {
		parts = append(parts, plural(failed, "app")+" failed to render")
	}
	if len(parts) == 0 {
		return "nothing deployed changes"
	}
	text := strings.Join(parts, ", ")
	if gpus != [2]int{} {
		text += "; GPUs " + fromTo(strconv.Itoa(gpus[0]), strconv.Itoa(gpus[1]))
	}
	if priced && cost != [2]float64{} {
		text += "; cost per hour " + fromTo(money(cost[0], r.Currency), money(cost[1], r.Currency))
	}
	return text
}

func fromTo(base, head string) string {
	if base == head {
		return head
	}
	return cmp.Or(base, "-") + " → " + cmp.Or(head, "-")
}

// title names what an app change is about.
func (c *Change) title() string {
	switch {
	case c.Status == Moved:
		return fmt.Sprintf("%s moved from %s", c.Dir, c.Was)
	case c.Status == Same:
		return c.Dir + " was edited and renders the same"
	case c.Status == Failed:
		return c.Dir + " failed to render"
	}
	return c.Dir + " " + c.Status
}

func (r *RequestChange) title() string {
	if r.Was != "" {
		return fmt.Sprintf("%s renamed from %s", r.Name, r.Was)
	}
	return r.Name + " " + r.Status
}

func (o *ObjectChange) title() string {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	switch o.Status {
	case Changed:
		return fmt.Sprintf("%s %s: %s", o.Kind, name, plural(len(o.Fields), "field"))
	case Renamed:
		return fmt.Sprintf("%s %s (was %s): %s", o.Kind, name, o.Was, plural(len(o.Fields), "field"))
	}
	return fmt.Sprintf("%s %s: %s", o.Kind, name, o.Status)
}

// maxValue is how much of a value is shown.
const maxValue = 200

func (f FieldChange) line() string {
	show := func(v *string) string {
		if v == nil {
			return "(not set)"
		}
		text := strings.Join(strings.Fields(*v), " ")
		if text == "" {
			return `""`
		}
		return clip(text, maxValue)
	}
	return fmt.Sprintf("%s: %s → %s", f.Path, show(f.Base), show(f.Head))
}
