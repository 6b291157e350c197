package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// draft is a first DGDR in the making. Zero is not said.
type draft struct {
	name, model, backend, strategy, gpuSKU string
	totalGPUs, gpusPerNode, isl, osl       int
	ttft, itl                              float64 // ms
	planner                                bool

	hardwareFile string            // that says the GPUs; empty without one
	given        func(string) bool // whether a flag was set
}

func (d *draft) flags(f *pflag.FlagSet) {
	f.StringVar(&d.name, "name", "", "name of the request (default: that of the directory)")
	f.StringVar(&d.model, "model", "", "Hugging Face id of the model")
	f.StringVar(&d.backend, "backend", "auto", "auto, vllm, sglang or trtllm")
	f.StringVar(&d.strategy, "strategy", "rapid", "rapid simulates, thorough measures on a cluster")
	f.StringVar(&d.gpuSKU, "gpu-sku", "", "kind of GPU, such as h200_sxm")
	f.IntVar(&d.totalGPUs, "total-gpus", 0, "GPU budget")
	f.IntVar(&d.gpusPerNode, "gpus-per-node", 0, "GPUs of a node (default: what the GPU usually has)")
	f.IntVar(&d.isl, "isl", 0, "tokens of a prompt (default 4000)")
	f.IntVar(&d.osl, "osl", 0, "tokens of an answer (default 1000)")
	f.Float64Var(&d.ttft, "ttft", 0, "time to first token in ms (default 2000)")
	f.Float64Var(&d.itl, "itl", 0, "time between tokens in ms (default 30)")
	f.BoolVar(&d.planner, "planner", false, "scale with the Dynamo planner, by the SLA")
}

// ask asks for what no flag says. An empty answer takes the default, which is in
// brackets.
func (d *draft) ask(in io.Reader, out io.Writer) error {
	answers := bufio.NewScanner(in)
	for _, q := range d.questions() {
		for !d.given(q.flag) {
			fmt.Fprintf(out, "%s [%s]: ", q.text, q.otherwise)
			if !answers.Scan() {
				return errors.Join(fmt.Errorf("no answer to %q", q.text), answers.Err())
			}
			answer := strings.TrimSpace(answers.Text())
			if answer == "" && q.required {
				continue
			}
			if answer == "" {
				break
			}
			if err := q.take(answer); err != nil {
				fmt.Fprintf(out, "%q is not understood\n", answer)
				continue
			}
			break
		}
	}
	return nil
}

// question is one thing to ask.
type question struct {
	flag, text, otherwise string
	required              bool
	take                  func(string) error
}

func (d *draft) questions() []question {
	text := func(to *string) func(string) error {
		return func(s string) error { *to = s; return nil }
	}
	whole := func(to *int) func(string) error {
		return func(s string) (err error) { *to, err = strconv.Atoi(s); return err }
	}
	millis := func(to *float64) func(string) error {
		return func(s string) (err error) { *to, err = strconv.ParseFloat(s, 64); return err }
	}
	all := []question{
		{"name", "Name of the request", d.name, d.name == "", text(&d.name)},
		{"model", "Model, as on Hugging Face", "Qwen/Qwen3-32B, say", true, text(&d.model)},
		{"backend", "Engine: auto, vllm, sglang or trtllm", "auto", false, text(&d.backend)},
	}
	if d.hardwareFile == "" {
		all = append(all,
			question{"gpu-sku", "Kind of GPU", "h200_sxm, say", true, text(&d.gpuSKU)},
			question{"total-gpus", "GPUs to use at most", "8, say", true, whole(&d.totalGPUs)})
	}
	return append(all,
		question{"isl", "Tokens of a prompt", "4000", false, whole(&d.isl)},
		question{"osl", "Tokens of an answer", "1000", false, whole(&d.osl)},
		question{"ttft", "Time to first token, in ms", "2000", false, millis(&d.ttft)},
		question{"itl", "Time between tokens, in ms", "30", false, millis(&d.itl)},
		question{"planner", "Scale with the load by the Dynamo planner: true or false", "false", false, func(s string) (err error) {
			d.planner, err = strconv.ParseBool(s)
			return err
		}})
}

// text is the file, with defaults for what is not said.
func (d *draft) text() string {
	var b strings.Builder
	line := func(indent, field, value, about string) {
		fmt.Fprintf(&b, "%s%s: %s", indent, field, value)
		if about != "" {
			b.WriteString(" # " + about)
		}
		b.WriteString("\n")
	}
	b.WriteString("# What is wanted; dynamo-profile-runner finds out how, and dynamo-cmp renders it.\n" +
		"apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata:\n")
	line("  ", "name", scalar(d.name), "the deployment is called this with -dgd")
	b.WriteString("spec:\n")
	line("  ", "model", scalar(d.model), "")
	line("  ", "backend", scalar(d.backend), "auto leaves it to the profiler")
	line("  ", "searchStrategy", scalar(d.strategy), "rapid simulates, thorough measures on a cluster")
	d.hardware(&b, line)
	b.WriteString("  workload: # the traffic to size for; requestRate or concurrency match a load\n")
	line("    ", "isl", strconv.Itoa(cmp.Or(d.isl, 4000)), "tokens of a prompt")
	line("    ", "osl", strconv.Itoa(cmp.Or(d.osl, 1000)), "tokens of an answer")
	b.WriteString("  sla: # in ms\n")
	line("    ", "ttft", number(cmp.Or(d.ttft, 2000)), "to the first token")
	line("    ", "itl", number(cmp.Or(d.itl, 30)), "between tokens")
	if d.planner {
		b.WriteString("  features:\n    planner: # scales with the load\n")
		line("      ", "optimization_target", "sla", "needs Prometheus; throughput does not, and ignores spec.sla")
	} else {
		b.WriteString("  # features:\n  #   planner: {optimization_target: sla} # scales with the load; needs Prometheus\n")
	}
	b.WriteString("  # modelCache: # a claim that holds the model; without it each engine downloads it\n" +
		"  #   pvcName: model-cache\n" +
		"  #   pvcModelPath: hub/models--ORG--NAME/snapshots/COMMIT\n")
	return b.String()
}

func (d *draft) hardware(b *strings.Builder, line func(indent, field, value, about string)) {
	said := d.gpuSKU != "" || d.totalGPUs > 0 || d.gpusPerNode > 0
	switch {
	case !said:
		fmt.Fprintf(b, "  # hardware: from %s; what stands here wins\n", d.hardwareFile)
	default:
		b.WriteString("  hardware:\n")
	}
	perNode := d.gpusPerNode
	if perNode == 0 && d.gpuSKU != "" && d.hardwareFile == "" {
		perNode, _ = profile.GPUsPerNode(d.gpuSKU)
	}
	if d.gpuSKU != "" {
		line("    ", "gpuSku", scalar(strings.ToLower(d.gpuSKU)), "")
	}
	if d.totalGPUs != 0 {
		line("    ", "totalGpus", strconv.Itoa(d.totalGPUs), "the budget")
	}
	if perNode != 0 {
		line("    ", "numGpusPerNode", strconv.Itoa(perNode), "")
	}
}

// scalar is a string as YAML has it.
func scalar(s string) string {
	data, err := yaml.Marshal(s)
	if err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSpace(string(data))
}
