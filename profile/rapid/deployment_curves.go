package rapid

import (
	"encoding/json"
	"errors"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// readCurves reads the planner's profile data (Dynamo: profiler/utils/profile_data);
// nil without any. It is an error where the planner could not use them.
func readCurves(data map[string]string) (*profile.Curves, error) {
	if data == nil {
		return nil, nil
	}
	var prefill struct {
		ISL  []float64 `json:"prefill_isl"`
		TTFT []float64 `json:"prefill_ttft"`
		Rate []float64 `json:"prefill_thpt_per_gpu"`
	}
	var decode struct {
		Usage   []float64 `json:"x_kv_usage"`
		Context []float64 `json:"y_context_length"`
		ITL     []float64 `json:"z_itl"`
		Rate    []float64 `json:"z_thpt_per_gpu"`
		Tokens  int       `json:"max_kv_tokens"`
	}
	err := errors.Join(json.Unmarshal([]byte(data["prefill_raw_data.json"]), &prefill), json.Unmarshal([]byte(data["decode_raw_data.json"]), &decode))
	if err != nil {
		return nil, err
	}
	c := &profile.Curves{
		Prefill: profile.PrefillCurve{ISL: prefill.ISL, TTFTMillis: prefill.TTFT, TokensPerSecondPerGPU: prefill.Rate},
		Decode: profile.DecodeCurve{KVUsage: decode.Usage, ContextLength: decode.Context, ITLMillis: decode.ITL,
			TokensPerSecondPerGPU: decode.Rate, MaxKVTokens: decode.Tokens},
	}
	if err := c.CheckFit(); err != nil {
		return nil, err
	}
	return c, nil
}
