package profile

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// The planner's limits on the samples of a curve (Dynamo 1.5: PlannerConfig).
const (
	// minSamples is load_min_observations: with fewer the planner is not ready.
	minSamples = 5
	// maxSamples is max_num_fpm_samples: of more the planner keeps the last ones.
	maxSamples = 64
)

// CheckFit reports why the planner could not use the curves: it fits a line
// through each, and drops a model that does not grow.
func (c *Curves) CheckFit() error {
	if err := c.Prefill.checkFit(); err != nil {
		return fmt.Errorf("checking prefill curve: %w", err)
	}
	if err := c.Decode.checkFit(); err != nil {
		return fmt.Errorf("checking decode curve: %w", err)
	}
	return nil
}

// column is one array of a curve, named for errors.
type column struct {
	name   string
	values []float64
}

// checkColumns holds for any curve: enough points and not too many, arrays of
// one length, every number positive and finite.
func checkColumns(columns ...column) error {
	points := len(columns[0].values)
	if points < minSamples || points > maxSamples {
		return fmt.Errorf("has %d points, the planner uses %d to %d", points, minSamples, maxSamples)
	}
	for _, c := range columns {
		if len(c.values) != points {
			return fmt.Errorf("%s has %d points, %s has %d", c.name, len(c.values), columns[0].name, points)
		}
		for i, v := range c.values {
			if !(v > 0) || math.IsInf(v, 1) {
				return fmt.Errorf("%s[%d] is %v, not a positive number", c.name, i, v)
			}
		}
	}
	return nil
}

func (c PrefillCurve) checkFit() error {
	if err := checkColumns(
		column{"isl", c.ISL},
		column{"ttftMillis", c.TTFTMillis},
		column{"tokensPerSecondPerGpu", c.TokensPerSecondPerGPU},
	); err != nil {
		return err
	}
	for i := 1; i < len(c.ISL); i++ {
		if c.ISL[i] <= c.ISL[i-1] {
			return fmt.Errorf("isl[%d] is %v, not above %v before it", i, c.ISL[i], c.ISL[i-1])
		}
	}
	if covariance(c.ISL, c.TTFTMillis) <= 0 {
		return errors.New("fitted TTFT does not grow with the input length")
	}
	return nil
}

func (c DecodeCurve) checkFit() error {
	if err := checkColumns(
		column{"kvUsage", c.KVUsage},
		column{"contextLength", c.ContextLength},
		column{"itlMillis", c.ITLMillis},
		column{"tokensPerSecondPerGpu", c.TokensPerSecondPerGPU},
	); err != nil {
		return err
	}
	if c.MaxKVTokens < 1 {
		return fmt.Errorf("maxKvTokens is %d, not positive", c.MaxKVTokens)
	}
	if highest := slices.Max(c.KVUsage); highest > 1 {
		return fmt.Errorf("kvUsage goes up to %v, not 1", highest)
	}
	// The planner's samples (dynamo/planner/monitoring/perf_metrics.py).
	kv := make([]float64, len(c.KVUsage))
	requests := make([]float64, len(c.KVUsage))
	for i := range kv {
		kv[i] = math.Round(c.KVUsage[i] * float64(c.MaxKVTokens))
		requests[i] = max(1, math.Round(kv[i]/c.ContextLength[i]))
	}
	// ITL = a*requests + b*kv + c, by least squares; only the sign of b matters.
	rr, kk, rk := covariance(requests, requests), covariance(kv, kv), covariance(requests, kv)
	if rr*kk-rk*rk <= 1e-9*rr*kk {
		return errors.New("points lie on one line: more than one context length is needed")
	}
	if rr*covariance(kv, c.ITLMillis)-rk*covariance(requests, c.ITLMillis) <= 0 {
		return errors.New("fitted ITL does not grow with the KV tokens in use")
	}
	return nil
}

// covariance is the sum of products of the deviations from the means.
func covariance(x, y []float64) float64 {
	var meanX, meanY, sum float64
	for i := range x {
		meanX += x[i] / float64(len(x))
		meanY += y[i] / float64(len(y))
	}
	for i := range x {
		sum += (x[i] - meanX) * (y[i] - meanY)
	}
	return sum
}
