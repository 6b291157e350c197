package servers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// modelRevision is the snapshot of every model of a Hub.
const modelRevision = "0123456789abcdef0123456789abcdef01234567"

// Hub is a cache of the Hugging Face Hub (HF_HUB_CACHE) with models without weights.
type Hub struct {
	Dir string

	mu sync.Mutex // one writes at a time, and never what is being read
}

// NewHub makes a cache with the named models, as acme/tiny.
func NewHub(t testing.TB, models ...string) *Hub {
	t.Helper()
	h := &Hub{Dir: Dir(t)}
	for _, model := range models {
		require.NoError(t, h.add(model))
	}
	return h
}

// Snapshot is the directory of a model's configuration and tokenizer.
func (h *Hub) Snapshot(model string) string {
	return filepath.Join(h.repository(model), "snapshots", modelRevision)
}

func (h *Hub) repository(model string) string {
	return filepath.Join(h.Dir, "models--"+strings.ReplaceAll(model, "/", "--"))
}

// add writes a model whose tokens are single characters, so that text is as many
// tokens again: those of English prompts, and all that the mocker says, whose
// tokens are 1000 to 1999.
func (h *Hub) add(model string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	refs := filepath.Join(h.repository(model), "refs")
	if exists(filepath.Join(refs, "main")) {
		return nil
	}
	vocab := map[string]int{"<s>": 0, "</s>": 1, "<unk>": 2, "\n": 3, "\t": 4}
	for c := ' '; c <= '~'; c++ {
		vocab[string(c)] = len(vocab)
	}
	for c := '\u4e00'; len(vocab) < 2000; c++ {
		vocab[string(c)] = len(vocab)
	}
	var special []any
	for id, content := range []string{"<s>", "</s>", "<unk>"} {
		special = append(special, map[string]any{"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	for _, dir := range []string{refs, h.Snapshot(model)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for name, content := range map[string]any{
		"config.json": map[string]any{
			"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "vocab_size": len(vocab), "hidden_size": 64, "intermediate_size": 128,
			"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 131072, "bos_token_id": 0, "eos_token_id": 1,
		},
		"tokenizer_config.json": map[string]any{
			"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
			"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
		},
		"tokenizer.json": map[string]any{
			"version": "1.0", "decoder": map[string]any{"type": "Fuse"}, "added_tokens": special,
			"model": map[string]any{"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": []any{}},
		},
	} {
		data, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(h.Snapshot(model), name), data, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(refs, "main"), []byte(modelRevision), 0o600)
}
