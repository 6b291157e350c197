package report

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// section is the part of the page about one subject, in words.
type section struct {
	ID, Name, Asked string

	Verdict    string // met, missed or unverified
	Headline   string // the verdict in words
	Binding    []string
	Confidence profile.Confidence
	Trust      string // what the confidence means, where it is not the best
	Note       string // what else to know about what renders
	Facts      []fact
	Warnings   []string

	Pareto         *figure
	Prefill        []figure
	Decode         []figure
	Tried          *figure
	NoPareto       string
	NoCurves       string
	ParetoNote     string
	Candidates     []candidate
	HasSLA         bool
	Trials         []trial
	Compared       []comparison
	ComparedPoints []comparison
	NoComparison   string
	Provenance     []fact
	Commands       []Command
}

// fact is a name with a value, and the part of a target that is used where it has one.
type fact struct {
	Name, Value, More string
	Used              float64 // percent of the target; 0 for none
	Over              bool
	Code              bool // the value is a digest or another word of machines
}

// figure is a drawing on the page.
type figure struct {
	ID, Title, About string
	Alone            bool // in a row
	SVG              template.HTML
}

func newSection(id string, s Subject) (*section, error) {
	v, err := newView(s)
	if err != nil {
		return nil, err
	}
	in := v.res.Inputs
	sec := &section{ID: id, Name: v.name(), Confidence: v.res.Confidence, Warnings: v.res.Warnings, Commands: v.Commands}
	sec.Asked = fmt.Sprintf("%s, %s on %d × %s; %s input and %s output tokens", strings.TrimSpace(in.Model+" "+in.Revision), in.Backend, in.Hardware.TotalGPUs, in.Hardware.System,
		grouped(float64(in.Workload.ISL)), grouped(float64(in.Workload.OSL)))
	if v.File != "" {
		sec.Asked = v.File + ": " + sec.Asked
	}
	sec.Verdict, sec.Headline = v.verdict()
	for i, m := range v.res.Margins() {
		sec.Binding = append(sec.Binding, marginText(m, i == 0))
	}
	if served := v.res.SLA.LoadServedPercent; served != nil {
		sec.Binding = append(sec.Binding, fmt.Sprintf("%s %% of the load are served", number(*served)))
	}
	sec.Trust, sec.Note = v.trust(), v.note()
	sec.Facts = v.facts()
	v.draw(sec)
	sec.Candidates, sec.HasSLA = v.candidates(), v.res.SLA.Verified
	sec.Trials = v.trialRows()
	sec.Compared, sec.ComparedPoints = v.compared(), v.comparedPoints()
	if len(sec.Compared)+len(sec.ComparedPoints) == 0 {
		sec.NoComparison = v.noComparison()
	}
	sec.Provenance = v.provenance()
	return sec, nil
}

// draw adds the figures, or says why there are none.
func (v *view) draw(sec *section) {
	for _, c := range v.charts() {
		id := sec.ID + "-" + c.name
		f := figure{id, c.title, c.about, c.wide, c.pageSVG(id)}
		switch {
		case c.name == "pareto":
			sec.Pareto = &f
		case c.name == "decode-tried":
			sec.Tried = &f
		case strings.HasPrefix(c.name, "prefill"):
			sec.Prefill = append(sec.Prefill, f)
		default:
			sec.Decode = append(sec.Decode, f)
		}
	}
	if sec.Pareto == nil {
		sec.NoPareto = "There is nothing to draw: no latency and no throughput was predicted."
	}
	switch {
	case sec.Pareto != nil && len(v.res.Pareto) == 0 && len(v.ranked) == 1:
		sec.ParetoNote = "The result has no points of a sweep and ranks one configuration, so there is no frontier to see."
	case sec.Pareto != nil && len(v.res.Pareto) == 0:
		sec.ParetoNote = "The result has no points of a sweep: these are the configurations that it ranks."
	case sec.Pareto != nil:
		sec.ParetoNote = "Lines are the Pareto frontiers of the sweep: each point is the most throughput at its speed."
	}
	switch {
	case v.res.Curves != nil:
	case v.Result.Curves != nil:
		sec.NoCurves = "The curves of the result are those of its pick, not of the engines that the lock selects."
	case v.res.Inputs.Strategy == profile.StrategyThorough:
		sec.NoCurves = "The result has no curves: they are measured for a planner with pre_deployment_sweeping_mode thorough."
	default:
		sec.NoCurves = "The result has no curves: those are measured, by searchStrategy thorough for a planner with pre_deployment_sweeping_mode thorough."
	}
}

func (v *view) verdict() (class, text string) {
	class = v.res.SLA.Verdict()
	return class, map[string]string{"met": "Meets the SLA", "missed": "Misses the SLA", "unverified": "It is not verified whether the SLA is met"}[class]
}

// target is how a target is called here.
var target = map[string]string{"ttft": "TTFT", "itl": "ITL", "e2eLatency": "request latency"}

func marginText(m profile.Margin, binds bool) string {
	text := fmt.Sprintf("%s leaves %s of %s ms (%s %%)", target[m.Target], number(m.MarginMillis), grouped(m.TargetMillis), number(m.Percent))
	if m.MarginMillis < 0 {
		text = fmt.Sprintf("%s is %s ms above its target of %s ms (%s %%)", target[m.Target], number(-m.MarginMillis), grouped(m.TargetMillis), number(-m.Percent))
	}
	if binds {
		text += ", and binds"
	}
	return text
}

// trust is what a confidence below measured means.
func (v *view) trust() string {
	text := map[profile.Confidence]string{
		profile.Measured:  "Candidates were deployed on GPUs and measured.",
		profile.Simulated: "Numbers are AIConfigurator's predictions, from tables that were measured.",
		profile.Estimated: "Numbers are AIConfigurator's predictions, from tables that are estimates themselves.",
		profile.Imported:  "Numbers were taken over from the output of another tool, whose word is all there is.",
		profile.Naive:     "The model fits into memory; nothing more is known, and no latency was predicted.",
	}[v.res.Confidence]
	if v.res.Reason != "" {
		text += " Reason: " + v.res.Reason + "."
	}
	return text
}

// note says why not the pick as the request asked for it renders.
func (v *view) note() string {
	var notes []string
	if v.selectedOther() {
		notes = append(notes, fmt.Sprintf("The lock selects number %d of the result instead of its pick: %s.", v.Selected, topology(&v.Result.Pick)))
	}
	if v.Estimate {
		notes = append(notes, "This is an estimate: the request asks for a measurement, which has not landed yet.")
	}
	return strings.Join(notes, " ")
}

func (v *view) facts() []fact {
	p, in := &v.res.Pick, v.res.Inputs
	facts := []fact{{Name: "Topology", Value: topology(p), More: string(p.Backend) + " " + p.BackendVersion}}
	gpus := fact{Name: "GPUs", Value: fmt.Sprintf("%d × %s", p.TotalGPUs, p.System), More: fmt.Sprintf("hardware.totalGpus is %d", in.Hardware.TotalGPUs)}
	gpus.Over = p.TotalGPUs > in.Hardware.TotalGPUs
	facts = append(facts, gpus)
	m := p.Expected
	if m == nil {
		return facts
	}
	latency := func(name string, value, target float64, assumed bool) {
		f := fact{Name: name, Value: number(value) + " ms"}
		if target > 0 {
			f.More = "of " + grouped(target) + " ms"
			f.Used, f.Over = min(100, 100*value/target), value > target+0.0005
			if assumed {
				f.More += ", Dynamo's default"
			}
		}
		facts = append(facts, f)
	}
	t := in.SLA
	if t.E2ELatencyMillis > 0 {
		t.TTFTMillis, t.ITLMillis = 0, 0
	}
	latency("TTFT", m.TTFTMillis, t.TTFTMillis, t.TTFTAssumed)
	latency("ITL", m.ITLMillis, t.ITLMillis, t.ITLAssumed)
	latency("Request latency", m.RequestLatencyMillis, t.E2ELatencyMillis, false)
	return append(facts, fact{Name: "Throughput", Value: number(m.TokensPerSecondPerGPU) + " tokens/s/GPU",
		More: fmt.Sprintf("%s tokens/s per user, %s requests at once", number(m.TokensPerSecondPerUser), grouped(m.Concurrency))})
}

// number is a value of three digits or more: finer ones mean nothing here.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case a < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return grouped(math.Round(v))
}

// day is a time of an attestation.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
