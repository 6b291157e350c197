package thorough

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The lines in which engines tell the size of their KV cache at start.
var (
	vllmConcurrency = regexp.MustCompile(`Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x`)
	sglangTokens    = regexp.MustCompile(`KV Cache is allocated\b.*#tokens: (\d+)`)
	trtllmTokens    = regexp.MustCompile(`Allocated .* for max tokens in paged KV cache \((\d+)\)`)
)

// kvTokens reads the size of an engine's KV cache in tokens from the log of its
// first rank; false when the log does not tell it (yet). vLLM and SGLang speak of
// one data parallel rank. TensorRT-LLM allocates a small trial cache first.
func kvTokens(backend profile.Backend, log string, dp int) (int, bool) {
	switch backend {
	case profile.BackendVLLM:
		for _, m := range vllmConcurrency.FindAllStringSubmatch(log, -1) {
			tokens, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
			if err != nil {
				continue
			}
			if times, err := strconv.ParseFloat(m[2], 64); err == nil {
				return int(math.Floor(float64(tokens)*times)) * dp, true
			}
		}
	case profile.BackendSGLang:
		if m := sglangTokens.FindStringSubmatch(log); m != nil {
			tokens, err := strconv.Atoi(m[1])
			return tokens * dp, err == nil
		}
	case profile.BackendTRTLLM:
		if all := trtllmTokens.FindAllStringSubmatch(log, -1); all != nil {
			tokens, err := strconv.Atoi(all[len(all)-1][1])
			return tokens, err == nil
		}
	}
	return 0, false
}
