package thorough

import "fmt"

const (
	// maxConcurrency bounds the requests in flight of a measurement.
	maxConcurrency = 2000
	// PrefillPoints and DecodePoints are Dynamo's numbers of Points.
	PrefillPoints = 16
	DecodePoints  = 6
	// shortestISL is where the curves begin.
	shortestISL = 100
	// prefillMargin is left of the context for what a chat template adds.
	prefillMargin = 512
	// curveOSL is the output length of every point of the decode curve.
	curveOSL = 500
	// leastCurveContext is the shortest range over which a line can be fitted.
	leastCurveContext = 2048
)

// concurrencies are the loads under which an engine with dp data parallel ranks
// is measured: up to so many steps, each a multiple of dp, from dp to what the
// engine can hold. They are empty when it holds less than a request per rank.
func concurrencies(dp, limit, steps int) []int {
	ranks := min(limit, maxConcurrency) / dp
	var loads []int
	if ranks < steps {
		for n := 1; n <= ranks; n++ {
			loads = append(loads, n*dp)
		}
		return loads
	}
	step := float64(ranks-1) / float64(steps-1)
	for i := range steps {
		loads = append(loads, (1+int(float64(i)*step))*dp)
	}
	return loads
}

// curveContext is the length up to which curves are measured: twice the input
// length of the workload, as Dynamo's code comes out (it looks the model's
// context up under a wrong name), since the planner needs the curve around the
// workload and every length costs a run. It is cut at the model's context, where
// that is known.
func curveContext(isl, modelContext int) int {
	length := max(2*isl, leastCurveContext)
	if modelContext > 0 {
		length = min(length, modelContext)
	}
	return length
}

// prefillLengths are the input lengths of the prefill curve.
func prefillLengths(context, steps int) ([]int, error) {
	longest := context - prefillMargin
	return lengths(longest, (longest-shortestISL)/steps)
}

// load is one point of the decode curve's grid.
type load struct {
	ISL         int
	Concurrency int
}

// decodeLoads is the grid of the decode curve: input lengths, and for each the
// concurrencies that fit the engine's KV cache of so many tokens.
func decodeLoads(context, kvTokens, dp, steps int) ([]load, error) {
	longest := context - curveOSL
	isls, err := lengths(longest, longest/steps)
	if err != nil {
		return nil, err
	}
	var loads []load
	for _, isl := range isls {
		for _, n := range concurrencies(dp, kvTokens/(isl+curveOSL), steps) {
			loads = append(loads, load{ISL: isl, Concurrency: n})
		}
	}
	return loads, nil
}

// lengths are the input lengths below a limit.
func lengths(limit, step int) ([]int, error) {
	if limit <= shortestISL || step < 1 {
		return nil, fmt.Errorf("measuring a curve: a context of %d tokens of input leaves too few lengths from %d on", max(limit, 0), shortestISL)
	}
	var isls []int
	for isl := shortestISL; isl < limit; isl += step {
		isls = append(isls, isl)
	}
	return isls, nil
}
