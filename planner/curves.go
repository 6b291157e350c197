package planner

import (
	"encoding/json"
	"fmt"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// ProfileData is the ConfigMap of the measured curves, which the planner and the
// mocker's workers mount. Curves that the planner could not use are an error.
func ProfileData(curves *profile.Curves, dgdName string) (ConfigMap, error) {
	if err := curves.CheckFit(); err != nil {
		return ConfigMap{}, err
	}
	prefill, decode := curves.Prefill, curves.Decode
	prefillJSON, err := json.Marshal(struct {
		ISL        []float64 `json:"prefill_isl"`
		TTFT       []float64 `json:"prefill_ttft"`
		Throughput []float64 `json:"prefill_thpt_per_gpu"`
	}{prefill.ISL, prefill.TTFTMillis, prefill.TokensPerSecondPerGPU})
	if err != nil {
		return ConfigMap{}, fmt.Errorf("encoding prefill curve: %w", err)
	}
	decodeJSON, err := json.Marshal(struct {
		KVUsage     []float64 `json:"x_kv_usage"`
		Context     []float64 `json:"y_context_length"`
		ITL         []float64 `json:"z_itl"`
		Throughput  []float64 `json:"z_thpt_per_gpu"`
		MaxKVTokens int       `json:"max_kv_tokens"`
	}{decode.KVUsage, decode.ContextLength, decode.ITLMillis, decode.TokensPerSecondPerGPU, decode.MaxKVTokens})
	if err != nil {
		return ConfigMap{}, fmt.Errorf("encoding decode curve: %w", err)
	}
	return newConfigMap(dgdName, dataPrefix, profileDataPath, map[string]string{
		"prefill_raw_data.json": string(prefillJSON),
		"decode_raw_data.json":  string(decodeJSON),
	})
}
