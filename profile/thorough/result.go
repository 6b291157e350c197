package thorough

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// result picks from what was measured.
func (s *sweep) result(jobs []*job, engines *profile.Engines) (*profile.Result, error) {
	prefill, decode := pointsOf(jobs)
	if len(prefill) == 0 || len(decode) == 0 {
		return nil, s.nothing(jobs, len(prefill) == 0)
	}
	picked, err := Pick(s.in, prefill, decode)
	if err != nil {
		return nil, err
	}
	res := &profile.Result{
		Schema: profile.ResultSchema, Inputs: s.in, Confidence: profile.Measured, Model: engines.Model,
		Pick: picked.Pick, Alternatives: picked.Alternatives, SLA: picked.SLA, Warnings: picked.Warnings,
		Provenance: profile.Provenance{Tool: "aiperf", Enumerator: "aiconfigurator " + engines.ToolVersion},
	}
	for _, j := range jobs {
		res.Trials = append(res.Trials, j.trial())
		if j.entry == nil || j.entry.Failure != nil {
			continue
		}
		if image := j.entry.Image; image != "" {
			if have := res.Provenance.Image; have != "" && have != image {
				return nil, fmt.Errorf("candidates ran different images, %s and %s, and cannot be compared; to measure all with one: name the image by its digest", have, image)
			}
			res.Provenance.Image = image
		}
		for _, p := range j.entry.Points {
			res.Provenance.ToolVersion = p.Measurement.Version
			for _, w := range p.Measurement.Warnings {
				res.Warnings = append(res.Warnings, fmt.Sprintf("%s at %d input tokens, %d at once: %s", j, p.Load.ISL, p.Load.Concurrency, w))
			}
		}
	}
	return res, nil
}

// predict adds what the simulation expects: of every point, and of the pick.
func (s *sweep) predict(ctx context.Context, res *profile.Result) error {
	if err := s.options.Predict(ctx, s.in, s.modelDir, res.Trials); err != nil {
		return fmt.Errorf("predicting what was measured: %w", err)
	}
	prefill, decode := res.Pick.Role(profile.RolePrefill), res.Pick.Role(profile.RoleDecode)
	p, d := PrefillPoint{Engine: *prefill}, DecodePoint{Engine: *decode, Concurrency: int(res.Pick.Expected.Concurrency)}
	for _, t := range res.Trials {
		for _, point := range t.Points {
			switch {
			case point.Predicted == nil:
			case t.Role == profile.RolePrefill && t.Parallelism == prefill.Parallelism:
				p.TTFTMillis = point.Predicted.TTFTMillis
			case t.Role == profile.RoleDecode && t.Parallelism == decode.Parallelism && point.Concurrency == d.Concurrency:
				d.ITLMillis, d.TokensPerSecondPerGPU = point.Predicted.ITLMillis, point.Predicted.TokensPerSecondPerGPU
			}
		}
	}
	if positive(p.TTFTMillis) && positive(d.ITLMillis) && positive(d.TokensPerSecondPerGPU) {
		res.Pick.Predicted = newUnit(s.in, p, d).pick(s.in).Expected
	}
	return nil
}

// pointsOf are the measured points of both roles.
func pointsOf(jobs []*job) (prefill []PrefillPoint, decode []DecodePoint) {
	for _, j := range jobs {
		if j.entry == nil || j.entry.Failure != nil {
			continue
		}
		for _, p := range j.entry.Points {
			m := p.Measurement
			if j.engine.Name == profile.RoleDecode {
				decode = append(decode, DecodePoint{Engine: j.engine, ISL: p.Load.ISL, Concurrency: p.Load.Concurrency,
					ITLMillis: m.ITLMillis, TokensPerSecondPerGPU: m.TokensPerSecond / float64(j.engine.GPUsPerEngine)})
				continue
			}
			prefill = append(prefill, PrefillPoint{Engine: j.engine, ISL: p.Load.ISL, TTFTMillis: PrefillTTFT(m, j.engine.Parallelism.DP)})
		}
	}
	return prefill, decode
}

// nothing is the error of a sweep in which a role was not measured, with each
// candidate's reason.
func (s *sweep) nothing(jobs []*job, noPrefill bool) error {
	role := profile.RoleDecode
	if noPrefill {
		role = profile.RolePrefill
	}
	lines := []string{fmt.Sprintf("no %s engine could be measured:", role)}
	for _, j := range jobs {
		if t := j.trial(); t.Role == role {
			lines = append(lines, fmt.Sprintf("\t%s: %s", j, t.Reason))
			if j.entry != nil && j.entry.Failure != nil && j.entry.Failure.Log != "" {
				lines = append(lines, "\t\t"+strings.ReplaceAll(lastLines(j.entry.Failure.Log, 5), "\n", "\n\t\t"))
			}
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// lastLines is the end of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// trial is what came of a job, for the result.
func (j *job) trial() profile.Trial {
	t := profile.Trial{Role: j.engine.Name, Parallelism: j.engine.Parallelism, GPUs: j.engine.GPUsPerEngine, State: profile.TrialMeasured}
	switch {
	case j.entry == nil:
		t.State, t.Reason = profile.TrialSkipped, j.skip
	case j.entry.Failure != nil:
		t.State, t.Reason = profile.TrialFailed, j.entry.Failure.Error()
	default:
		t.MaxKVTokens = j.entry.KVTokens
		for _, p := range j.entry.Points {
			t.Points = append(t.Points, j.pointOf(p))
		}
	}
	return t
}

func (j *job) pointOf(p point) profile.Point {
	out := profile.Point{ISL: p.Load.ISL, OSL: p.Load.OSL, Concurrency: p.Load.Concurrency}
	if j.engine.Name == profile.RolePrefill {
		out.TTFTMillis = PrefillTTFT(p.Measurement, j.engine.Parallelism.DP)
		return out
	}
	out.ITLMillis, out.TokensPerSecondPerGPU = p.Measurement.ITLMillis, p.Measurement.TokensPerSecond/float64(j.engine.GPUsPerEngine)
	return out
}
