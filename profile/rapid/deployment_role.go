package rapid

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// deployedRole is a component of an imported deployment that runs an engine.
type deployedRole struct {
	name     profile.RoleName
	replicas int
	gpus     int // that it asks for
	backend  profile.Backend
	version  string // of the runtime image
	args     []string
}

// flag is the value of a flag of the engine, empty without it.
func (r *deployedRole) flag(name string) string {
	if i := slices.Index(r.args, name); i >= 0 && i+1 < len(r.args) {
		return r.args[i+1]
	}
	return ""
}

func (r *deployedRole) number(name string) int {
	n, _ := strconv.Atoi(r.flag(name))
	return n
}

// maxCount is more than any system has of anything that is counted, and small
// enough that products of counts are exact.
const maxCount = 1 << 12

// checkCounts refuses what is no number of GPUs or engines.
func (r *deployedRole) checkCounts() error {
	if r.replicas < 1 || r.replicas > maxCount {
		return fmt.Errorf("replicas is %d, want 1 to %d", r.replicas, maxCount)
	}
	for _, name := range []string{"--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size", "--expert-parallel-size"} {
		if v := r.flag(name); v != "" && (r.number(name) < 1 || r.number(name) > maxCount) {
			return fmt.Errorf("%s is %.40q, want 1 to %d", name, v, maxCount)
		}
	}
	return nil
}

// role reads an engine's parallelism from its flags, as AIConfigurator's generator
// writes it. SGLang and TensorRT-LLM count the ranks of attention data parallelism in
// --tensor-parallel-size.
func (r *deployedRole) role(moe bool) (profile.Role, error) {
	if err := r.checkCounts(); err != nil {
		return profile.Role{}, err
	}
	tp, pp := r.number("--tensor-parallel-size"), max(r.number("--pipeline-parallel-size"), 1)
	if tp < 1 {
		return profile.Role{}, errors.New("its engine has no --tensor-parallel-size, from which the GPUs follow")
	}
	p := profile.Parallelism{TP: tp, PP: pp, DP: 1, MoETP: 1, MoEEP: 1}
	ranks, expert, batch := tp, max(r.number("--expert-parallel-size"), 1), ""
	switch r.backend {
	case profile.BackendVLLM:
		p.DP = max(r.number("--data-parallel-size"), 1)
		ranks, batch = tp*p.DP, "--max-num-seqs"
		if slices.Contains(r.args, "--enable-expert-parallel") {
			expert = ranks
		}
	case profile.BackendSGLang:
		batch = "--max-running-requests"
		if slices.Contains(r.args, "--enable-dp-attention") {
			p.DP = max(r.number("--data-parallel-size"), 1)
			p.TP = tp / p.DP
		}
	case profile.BackendTRTLLM:
		batch = "--max-batch-size"
		if slices.Contains(r.args, "--enable-attention-dp") {
			p.TP, p.DP = 1, tp
		}
	}
	if moe {
		p.MoEEP, p.MoETP = expert, ranks/expert
	}
	if p.TP*p.DP != ranks || moe && p.MoEEP*p.MoETP != ranks {
		return profile.Role{}, fmt.Errorf("its flags do not divide %d ranks evenly", ranks)
	}
	return profile.Role{Name: r.name, Replicas: r.replicas, GPUsPerEngine: p.TP * p.PP * p.DP, Parallelism: p,
		BatchSize: r.number(batch), Args: r.generated()}, nil
}

// generated are the flags without those that Dynamo adds to what AIConfigurator
// generated (profiler/utils/config_modifiers), and which rendering adds again.
func (r *deployedRole) generated() []string {
	added := []string{"-m", "--model", "--model-path", "--served-model-name", "--trust-remote-code",
		"--disaggregation-mode", "--disaggregation-bootstrap-port", "--kv-transfer-config", "--trtllm.enable_chunked_prefill"}
	var out []string
	keep := true
	for _, word := range r.args {
		if strings.HasPrefix(word, "-") {
			keep = !slices.Contains(added, word)
		}
		if keep {
			out = append(out, word)
		}
	}
	return out
}
