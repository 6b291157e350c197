package thorough

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var record = flag.Bool("record", false, "record AIPerf's exports in testdata anew")

// server serves chat completions of the length asked for, one byte a token, at a
// steady pace; prompts that it has seen are cached.
type server struct {
	fail func(n int) bool // the n-th request, from 1; nil for none

	mu       sync.Mutex
	requests []request
}

type request struct {
	prompt string
	osl    int
	cached bool
}

const (
	computing = 60 * time.Millisecond // a prompt that is not cached
	pace      = 20 * time.Millisecond // between tokens
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Model     string
		Messages  []struct{ Content string }
		Stream    bool
		MaxTokens int  `json:"max_tokens"`
		MinTokens int  `json:"min_tokens"`
		IgnoreEOS bool `json:"ignore_eos"`
	}
	if r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Messages) != 1 || !body.Stream ||
		!body.IgnoreEOS || body.MinTokens != body.MaxTokens || body.Model != "acme/tiny" {
		http.Error(w, "not what Dynamo sends", http.StatusBadRequest)
		return
	}
	prompt := body.Messages[0].Content
	n, cached := s.note(prompt, body.MaxTokens)
	if s.fail != nil && s.fail(n) {
		http.Error(w, "overloaded", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	hit := len(prompt)
	if !cached {
		time.Sleep(computing)
		hit = 0
	}
	for i := range body.MaxTokens {
		select {
		case <-time.After(pace):
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, "data: {\"id\": \"1\", \"object\": \"chat.completion.chunk\", \"model\": \"acme/tiny\", \"choices\": [{\"index\": 0, \"delta\": {\"role\": \"assistant\", \"content\": \"%c\"}}]}\n\n", 'a'+i%26)
		w.(http.Flusher).Flush()
	}
	fmt.Fprintf(w, "data: {\"id\": \"1\", \"object\": \"chat.completion.chunk\", \"model\": \"acme/tiny\", \"choices\": [], \"usage\": {\"prompt_tokens\": %d, \"completion_tokens\": %d, \"total_tokens\": %d, \"prompt_tokens_details\": {\"cached_tokens\": %d}}}\n\ndata: [DONE]\n\n",
		len(prompt), body.MaxTokens, len(prompt)+body.MaxTokens, hit)
}

func (s *server) note(prompt string, osl int) (n int, cached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		cached = cached || r.prompt == prompt
	}
	s.requests = append(s.requests, request{prompt, osl, cached})
	return len(s.requests), cached
}

// tokenizer writes one of single bytes and is its directory.
func tokenizer(t *testing.T) string {
	t.Helper()
	vocabulary, next := map[string]int{}, 256
	for b := range 256 { // the alphabet of GPT-2, as the Hugging Face library has it
		c := rune(b)
		if b <= ' ' || b > '~' && b < 0xa1 || b == 0xad {
			c, next = rune(next), next+1
		}
		vocabulary[string(c)] = b
	}
	level := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	dir := t.TempDir()
	for name, content := range map[string]any{
		"tokenizer_config.json": map[string]any{"tokenizer_class": "PreTrainedTokenizerFast"},
		"tokenizer.json": map[string]any{"version": "1.0", "added_tokens": []any{}, "pre_tokenizer": level, "decoder": level,
			"model": map[string]any{"type": "BPE", "vocab": vocabulary, "merges": []any{}}},
	} {
		data, err := json.Marshal(content)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	return dir
}

// realAIPerf is the installed one, against a server.
func realAIPerf(t *testing.T, s *server) (*AIPerf, Target) {
	t.Helper()
	python := os.Getenv("DYNAMO_CMP_AIPERF_PYTHON")
	if python == "" {
		t.Skip("DYNAMO_CMP_AIPERF_PYTHON names no Python with aiperf")
	}
	// Given a directory, the tokenizer is found even where the runner is offline.
	t.Setenv("HF_HUB_OFFLINE", "1")
	t.Setenv("NO_PROXY", "127.0.0.1")
	http := httptest.NewServer(s)
	t.Cleanup(http.Close)
	return &AIPerf{Command: []string{filepath.Join(filepath.Dir(python), "aiperf")}, Dir: t.TempDir()},
		Target{URL: http.URL, Model: "acme/tiny", Tokenizer: tokenizer(t)}
}

// The real AIPerf takes our arguments, sends what they mean, and measures the pace
// of the server. With -record its exports become the recordings.
func TestRealAIPerf(t *testing.T) {
	for _, c := range []struct {
		name   string
		load   Load
		cached float64 // percent, of the measured requests
	}{
		{"prefill", tinyPrefill, 0},
		{"prefill burst", PrefillLoad(300, 2), 0},
		{"decode", tinyDecode, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &server{}
			a, target := realAIPerf(t, s)
			m, files, err := a.Measure(context.Background(), target, c.load)
			require.NoError(t, err)

			require.Len(t, s.requests, c.load.WarmUp+c.load.Requests, "sent in one try")
			distinct := map[string]bool{}
			for _, r := range s.requests {
				require.Len(t, r.prompt, c.load.ISL)
				require.Equal(t, c.load.OSL, r.osl)
				distinct[r.prompt] = true
			}
			require.Len(t, distinct, c.load.Prompts)

			require.Equal(t, testedVersion, m.Version)
			require.Empty(t, m.Warnings)
			require.NotNil(t, m.CacheReadPercent)
			require.InDelta(t, c.cached, *m.CacheReadPercent, 0)
			require.Greater(t, m.ITLMillis, 0.9*millis(pace))
			require.Less(t, m.ITLMillis, 10*millis(pace), "even on a busy machine")
			least := millis(pace)
			if c.cached == 0 {
				least += millis(computing)
			}
			require.Greater(t, m.MedianTTFTMillis, least)
			require.Less(t, m.TokensPerSecond, float64(c.load.Concurrency)*1000/millis(pace))

			if *record && c.name != "prefill burst" {
				for _, f := range files {
					data := bytes.ReplaceAll(f.Data, []byte(a.Dir), []byte("DIR"))
					data = bytes.ReplaceAll(data, []byte(target.Tokenizer), []byte("TOKENIZER"))
					require.NoError(t, os.WriteFile(filepath.Join("testdata/aiperf", f.Name), data, 0o644))
				}
			}
		})
	}
}

// Where every third request fails, AIPerf ends well and its numbers are refused.
func TestRealAIPerfFailures(t *testing.T) {
	s := &server{fail: func(n int) bool { return n%3 == 0 }}
	a, target := realAIPerf(t, s)
	_, _, err := a.measure(context.Background(), target, DecodeLoad(100, 5, 8, 1))
	require.ErrorContains(t, err, "of 8 requests failed: 503 ")
}

func TestRealAIPerfEveryFailure(t *testing.T) {
	s := &server{fail: func(int) bool { return true }}
	a, target := realAIPerf(t, s)
	_, _, err := a.measure(context.Background(), target, DecodeLoad(100, 5, 2, 1))
	require.ErrorContains(t, err, "aiperf: exit status 1\n\t")
	require.ErrorContains(t, err, "inference request(s) failed")
}

// A cancelled measurement leaves none of AIPerf's processes.
func TestRealAIPerfCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &server{fail: func(n int) bool {
		cancel()
		return false
	}}
	a, target := realAIPerf(t, s)
	_, _, err := a.Measure(ctx, target, DecodeLoad(100, 400, 2, 1))
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return len(processes(t, a.Dir)) == 0 }, 5*time.Second, 50*time.Millisecond, "processes left")
}

// processes are those that run in a directory or below it.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	var found []string
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir) {
			found = append(found, link)
		}
	}
	return found
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
