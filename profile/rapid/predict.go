package rapid

import (
	"context"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Predict adds to measured points what AIConfigurator expects of them: TTFT of a
// prefill engine, ITL and throughput of a decode engine whose prompts are in its cache
// (AIConfigurator: cli estimate, modes static_ctx and static_gen). Points that its
// tables do not cover stay as they are.
func (p *Profiler) Predict(ctx context.Context, in profile.Inputs, modelDir string, trials []profile.Trial) error {
	return p.session(ctx, in, modelDir, func(ctx context.Context, s *session) error {
		if err := s.cover(ctx); err != nil || s.database == "" {
			return err
		}
		var points []*profile.Point
		var questions []map[string]any
		for i := range trials {
			for j := range trials[i].Points {
				trial, point := &trials[i], &trials[i].Points[j]
				points = append(points, point)
				batch := max(point.Concurrency/trial.Parallelism.DP, 1)
				if trial.Role == profile.RolePrefill {
					batch = 1
				}
				questions = append(questions, map[string]any{
					"role": trial.Role, "parallelism": trial.Parallelism, "isl": point.ISL, "osl": point.OSL, "batch": batch,
				})
			}
		}
		if len(points) == 0 {
			return nil
		}
		s.say("predicting what was measured")
		var answers []*struct {
			TTFT       float64 `json:"ttft"`
			ITL        float64 `json:"itl"`
			Throughput float64 `json:"throughput"` // tokens per second and GPU
		}
		err := s.call(ctx, "predict", map[string]any{
			"path": s.model.Path, "system": in.Hardware.System, "backend": in.Backend, "database": s.database, "points": questions,
		}, &answers)
		if err != nil {
			return err
		}
		for i, a := range answers {
			if a != nil {
				points[i].Predicted = &profile.Prediction{TTFTMillis: a.TTFT, ITLMillis: a.ITL, TokensPerSecondPerGPU: a.Throughput}
			}
		}
		return nil
	})
}
