package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// annotationPrefix is the domain of our annotations.
const annotationPrefix = "dynamo-cmp.github.io/"

// labels do not include Dynamo's own dgdr.nvidia.com ones: its operator takes
// an object that carries them for the output of a live DGDR.
func (a *assembly) labels() object {
	labels := object{"app.kubernetes.io/managed-by": "dynamo-cmp"}
	if len(a.req.Name) <= 63 {
		labels["app.kubernetes.io/part-of"] = a.req.Name
	}
	return labels
}

// annotations say which result the deployment runs and what to expect of it.
func (a *assembly) annotations() object {
	res := a.ans.Result
	notes := map[string]string{
		"request":    a.req.Name,
		"key":        string(res.Inputs.Key()),
		"result":     a.ans.Digest,
		"confidence": string(res.Confidence),
		"topology":   a.topology(),
		"sla":        res.SLA.Verdict(),
	}
	if m := a.pick.Expected; m != nil {
		notes["expected-ttft-ms"] = decimal(m.TTFTMillis)
		notes["expected-itl-ms"] = decimal(m.ITLMillis)
		notes["expected-tokens-per-second-per-gpu"] = decimal(m.TokensPerSecondPerGPU)
	}
	if n := a.ans.Selected; n > 0 {
		notes["selected"] = strconv.Itoa(n)
	}
	if !a.req.Spec.AutoApply {
		// In Git the review is the merge, so the deployment is rendered all the same.
		notes["auto-apply"] = "false"
	}
	out := object{}
	for key, value := range notes {
		if value != "" {
			out[annotationPrefix+key] = value
		}
	}
	if a.planner != nil && len(a.planner.ScaledRoles) > 0 {
		// Client-side apply compares the components list as a whole and would
		// fight the planner over replicas, or lose a change beside them.
		out["argocd.argoproj.io/sync-options"] = "ServerSideApply=true"
	}
	return out
}

// topology is that of the pick, which the mocker only plays.
func (a *assembly) topology() string {
	if a.req.Spec.Features.Mocker {
		return "mocker of " + Topology(a.pick)
	}
	return Topology(a.pick)
}

// Topology reads like "disagg: 1 prefill (tp8) + 1 decode (tp4), 12 GPUs".
func Topology(p *profile.Pick) string {
	var roles []string
	for _, r := range p.Roles {
		roles = append(roles, fmt.Sprintf("%d %s (%s)", r.Replicas, r.Name, parallelism(r.Parallelism)))
	}
	return fmt.Sprintf("%s: %s, %d GPUs", p.Mode, strings.Join(roles, " + "), p.TotalGPUs)
}

// parallelism names the dimensions that split anything: tp2 dp4 ep8.
func parallelism(p profile.Parallelism) string {
	parts := []string{fmt.Sprintf("tp%d", p.TP)}
	for _, d := range []struct {
		name string
		n    int
	}{{"pp", p.PP}, {"dp", p.DP}, {"moe-tp", p.MoETP}, {"ep", p.MoEEP}} {
		if d.n > 1 {
			parts = append(parts, d.name+strconv.Itoa(d.n))
		}
	}
	return strings.Join(parts, " ")
}

func decimal(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}
