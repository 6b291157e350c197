package review

import (
	"cmp"
	"path"
	"slices"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// RequestChange is a request that differs.
type RequestChange struct {
	Name    string    `json:"name"`
	Was     string    `json:"was,omitempty"` // its name, where that is new and its key is not
	Status  string    `json:"status"`
	Base    *Standing `json:"base"`
	Head    *Standing `json:"head"`
	Why     []string  `json:"why"`
	Rollout []string  `json:"rollout"` // what applying the change does to what runs
}

// Standing is what there is to say of a request on one side.
type Standing struct {
	File        string             `json:"file"`
	Key         profile.Key        `json:"key"`
	Result      string             `json:"result"` // digest; empty where nothing was profiled
	Confidence  profile.Confidence `json:"confidence"`
	Estimate    bool               `json:"estimate"` // simulated until a measurement lands
	Profiler    string             `json:"profiler"`
	Backend     profile.Backend    `json:"backend"`
	Mode        profile.Mode       `json:"mode"`
	Topology    string             `json:"topology"`
	SKU         string             `json:"gpuSku"`
	GPUs        int                `json:"gpus"`       // that the deployment asks for
	Nodes       int                `json:"nodes"`      // that these GPUs take at least
	Autoscaled  bool               `json:"autoscaled"` // GPUs and nodes are those that the planner starts with
	Targets     profile.Targets    `json:"targets"`
	SLA         string             `json:"sla"`         // met, missed or unverified
	Expected    *profile.Metrics   `json:"expected"`    // null where nothing was predicted
	CostPerHour *float64           `json:"costPerHour"` // null without a price
}

// pair is a request on both sides; either may be nil.
type pair struct {
	base, head *Request
}

// compareRequests says what differs of each pair.
func compareRequests(paired []pair, base, head *App, was, now []manifest, files []FileChange, prices *Prices) []RequestChange {
	out := []RequestChange{}
	for _, p := range paired {
		c := RequestChange{Why: []string{}, Rollout: []string{}}
		var b, h map[string]any
		if p.base != nil {
			c.Name, b = p.base.Name, deploymentOf(was, p.base.Name)
			c.Base = standing(p.base, b, prices)
		}
		if p.head != nil {
			c.Name, h = p.head.Name, deploymentOf(now, p.head.Name)
			c.Head = standing(p.head, h, prices)
		}
		switch {
		case p.base == nil:
			c.Status = Added
		case p.head == nil:
			c.Status = Removed
		case p.base.Name != p.head.Name:
			c.Status, c.Was = Renamed, p.base.Name
		case base.Dir != head.Dir:
			c.Status = Moved
		default:
			c.Status = Changed
		}
		if p.base != nil && p.head != nil {
			c.Why = why(p.base, p.head, about(files, head, p.head))
		}
		c.Rollout = rollout(b, h)
		if c.Status == Changed && len(c.Rollout) == 0 && p.base.Digest == p.head.Digest && p.base.Inputs().Key() == p.head.Inputs().Key() {
			continue // it shares the directory of one that changes
		}
		if len(c.Rollout) == 0 {
			c.Rollout = []string{"nothing restarts"}
		}
		out = append(out, c)
	}
	return out
}

// about leaves out the files of other requests, and names the request's own as the
// request does.
func about(files []FileChange, app *App, of *Request) []FileChange {
	var out []FileChange
	for _, f := range files {
		own := f.Path == of.File || f.Path == path.Base(of.File)
		other := slices.ContainsFunc(app.Requests, func(r Request) bool { return r.File == f.Path || path.Base(r.File) == f.Path })
		if own {
			f.Path = of.File
		}
		if own || !other {
			out = append(out, f)
		}
	}
	return out
}

// pairs are requests of one name and then, among what is left, of one key.
func pairs(base, head []Request) []pair {
	var out []pair
	left := map[string]*Request{}
	keys := map[profile.Key][]string{}
	for i := range base {
		left[base[i].Name] = &base[i]
	}
	var fresh []*Request
	for i := range head {
		h := &head[i]
		if b := left[h.Name]; b != nil {
			delete(left, h.Name)
			out = append(out, pair{b, h})
			continue
		}
		fresh = append(fresh, h)
	}
	for name, b := range left {
		keys[b.Inputs().Key()] = append(keys[b.Inputs().Key()], name)
	}
	same := func(key profile.Key) int {
		n := 0
		for _, h := range fresh {
			if h.Inputs().Key() == key {
				n++
			}
		}
		return n
	}
	for _, h := range fresh {
		key := h.Inputs().Key()
		if names := keys[key]; len(names) == 1 && same(key) == 1 {
			out = append(out, pair{left[names[0]], h})
			delete(left, names[0])
			continue
		}
		out = append(out, pair{nil, h})
	}
	for _, b := range left {
		out = append(out, pair{b, nil})
	}
	slices.SortFunc(out, func(a, b pair) int { return cmp.Compare(a.name(), b.name()) })
	return out
}

// renames are the new names of requests by the old ones.
func renames(paired []pair) map[string]string {
	out := map[string]string{}
	for _, p := range paired {
		if p.base != nil && p.head != nil && p.base.Name != p.head.Name {
			out[p.base.Name] = p.head.Name
		}
	}
	return out
}

func (p pair) name() string {
	if p.head != nil {
		return p.head.Name
	}
	return p.base.Name
}

// deploymentOf is the deployment that says it is of the request, or nil.
func deploymentOf(objects []manifest, request string) map[string]any {
	for _, m := range objects {
		meta, _ := m.tree["metadata"].(map[string]any)
		notes, _ := meta["annotations"].(map[string]any)
		if m.kind == "DynamoGraphDeployment" && notes["dynamo-cmp.github.io/request"] == request {
			return m.tree
		}
	}
	return nil
}

func standing(r *Request, dgd map[string]any, prices *Prices) *Standing {
	res := r.Result
	s := &Standing{
		File: r.File, Key: r.Inputs().Key(), Result: r.Digest, Confidence: res.Confidence, Estimate: r.Estimate,
		Profiler: res.Provenance.Name(),
		Backend:  res.Pick.Backend, Mode: res.Pick.Mode, Topology: render.Topology(&res.Pick),
		SKU: r.Spec.Hardware.GPUSKU, Targets: res.Inputs.SLA, SLA: res.SLA.Verdict(), Expected: res.Pick.Expected,
	}
	if r.Spec.Features.Mocker {
		s.Topology = "mocker of " + s.Topology
	}
	shared := 0 // GPUs of engines that a node has room for beside others
	for _, component := range render.Components(dgd) {
		size := render.Size(component)
		_, scaled := component["scalingAdapter"]
		s.Autoscaled = s.Autoscaled || scaled
		s.GPUs += size.Replicas * size.GPUsPerEngine
		if size.Nodes > 1 {
			s.Nodes += size.Replicas * size.Nodes
		} else {
			shared += size.Replicas * size.GPUsPerEngine
		}
	}
	if per := r.Spec.Hardware.GPUsPerNode; per > 0 {
		s.Nodes += (shared + per - 1) / per
	}
	s.CostPerHour = prices.perHour(s.SKU, s.GPUs)
	return s
}
