package thorough

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// observe measures a candidate that is deployed. The error is a Failure where it does
// not get ready, does not serve, or cannot be measured.
func (s *sweep) observe(ctx context.Context, j *job, created *unstructured.Unstructured) (*entry, error) {
	c := s.options.Cluster
	pods, err := c.ready(ctx, created, s.options.Timeouts, func(m string) { s.say(j, m) })
	if err != nil {
		return nil, err
	}
	front, err := c.frontendOf(ctx, j.name, s.in.Model)
	if err != nil {
		return nil, err
	}
	s.say(j, "is ready, awaits "+front.url)
	if err := front.serves(ctx); err != nil {
		return nil, err
	}
	j.times.served()
	r := &entry{Schema: entrySchema, Engine: j.engine, Curve: j.curve, Image: imageOf(pods)}
	if j.engine.Name == profile.RoleDecode {
		if r.KVTokens, err = s.capacity(ctx, j, front, pods); err != nil {
			return nil, err
		}
	}
	loads, err := s.loads(j, r.KVTokens)
	if err != nil {
		return nil, &Failure{Class: FailedMeasuring, Message: err.Error()}
	}
	target := s.target
	target.URL = front.url
	for i, load := range loads {
		s.say(j, fmt.Sprintf("measures %d of %d: %d input tokens, %d at once", i+1, len(loads), load.ISL, load.Concurrency))
		m, files, err := s.options.AIPerf.Measure(ctx, target, load)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, &Failure{Class: FailedMeasuring, Message: err.Error()}
		}
		r.Points = append(r.Points, point{Load: load, Measurement: m})
		r.files = append(r.files, files...)
	}
	return r, nil
}

// capacity is how many tokens the KV cache of a whole engine holds.
func (s *sweep) capacity(ctx context.Context, j *job, front *frontend, pods []*corev1.Pod) (int, error) {
	tokens, err := front.kvTokens(ctx)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err == nil && tokens > 0 {
		return tokens * j.engine.Parallelism.DP, nil
	}
	for _, pod := range pods {
		log := s.options.Cluster.log(ctx, pod.Name, &corev1.PodLogOptions{Container: mainContainer})
		if tokens, ok := kvTokens(s.in.Backend, log, j.engine.Parallelism.DP); ok {
			return tokens, nil
		}
	}
	return 0, &Failure{Class: FailedMeasuring, Message: "neither the frontend's metrics nor the engine's log tell the size of the KV cache"}
}

// loads are what a job measures.
func (s *sweep) loads(j *job, kvTokens int) ([]Load, error) {
	w, dp, points := s.in.Workload, j.engine.Parallelism.DP, s.options.Points
	context := curveContext(w.ISL, s.model.ContextLength)
	var loads []Load
	switch {
	case j.engine.Name == profile.RolePrefill && !j.curve:
		return []Load{PrefillLoad(w.ISL, dp)}, nil
	case j.engine.Name == profile.RolePrefill:
		lengths, err := prefillLengths(context, points.Prefill)
		if err != nil {
			return nil, err
		}
		for _, isl := range lengths {
			loads = append(loads, PrefillLoad(isl, dp))
		}
		return loads, nil
	case !j.curve:
		limit := kvTokens / (w.ISL + w.OSL)
		if batch := j.engine.BatchSize; batch > 0 {
			limit = min(limit, batch*dp) // more would measure a queue
		}
		for _, n := range concurrencies(dp, limit, points.Decode) {
			loads = append(loads, DecodeLoad(w.ISL, w.OSL, n, dp))
		}
	default:
		grid, err := decodeLoads(context, kvTokens, dp, points.Decode)
		if err != nil {
			return nil, err
		}
		for _, l := range grid {
			if batch := j.engine.BatchSize; batch == 0 || l.Concurrency <= batch*dp {
				loads = append(loads, DecodeLoad(l.ISL, curveOSL, l.Concurrency, dp))
			}
		}
	}
	if len(loads) == 0 {
		return nil, fmt.Errorf("the KV cache holds %d tokens, less than a request for each of %d ranks", kvTokens, dp)
	}
	return loads, nil
}

// imageOf is the digest of the image that an engine's pods ran.
func imageOf(pods []*corev1.Pod) string {
	var images []string
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			if status.Name == mainContainer && status.ImageID != "" {
				images = append(images, status.ImageID)
			}
		}
	}
	if len(images) == 0 {
		return ""
	}
	return slices.Min(images)
}
