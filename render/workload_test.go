package render_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const revision = "0123456789abcdef0123456789abcdef01234567"

// container is what of a rendered Job runs here: its command with the interpreter of
// the tests, and its environment.
type container struct {
	Command []string
	Env     []struct{ Name, Value string }
}

// jobs renders a request for a tiny model, whose claim is mounted at a directory of
// the test, and returns the containers of the Jobs by their component.
func jobs(t *testing.T, mount, spec string) map[string]container {
	t.Helper()
	repo := write(t, map[string]string{
		".git/HEAD": "",
		"app/cmp.yaml": "apiVersion: dynamo-cmp.github.io/v1\nkind: DynamoCMPConfig\nspec:\n  modelCache: {download: {}}\n" +
			"  benchmark: {image: \"registry.example.com/aiperf:0.13.0\", tolerance: 0.1}\n",
		"app/dgdr.yaml": "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata: {name: tiny}\nspec:\n  model: acme/tiny\n" +
			"  backend: vllm\n  hardware: {gpuSku: h200_sxm, totalGpus: 8, numGpusPerNode: 8}\n" +
			"  modelCache: {pvcName: models, pvcMountPath: " + mount + ", pvcModelPath: hub/models--acme--tiny/snapshots/" + revision + "}\n" + spec,
	})
	out, _, err := build(t, filepath.Join(repo, "app"), answering(t, "vllm_agg"))
	require.NoError(t, err)
	found := map[string]container{}
	dec := yaml.NewDecoder(bytes.NewReader(out))
	for {
		var doc struct {
			Kind     string
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Template struct {
					Spec struct{ Containers []container }
				}
			}
		}
		if dec.Decode(&doc) != nil {
			return found
		}
		if doc.Kind == "Job" {
			found[doc.Metadata.Labels["app.kubernetes.io/component"]] = doc.Spec.Template.Spec.Containers[0]
		}
	}
}

// start runs the container, with more variables that win.
func (c container) start(t *testing.T, ctx context.Context, out io.Writer, more ...string) *exec.Cmd {
	t.Helper()
	python := os.Getenv("DYNAMO_CMP_AIPERF_PYTHON")
	if python == "" {
		t.Skip("DYNAMO_CMP_AIPERF_PYTHON names no Python with aiperf")
	}
	require.Equal(t, "python3", c.Command[0])
	cmd := exec.CommandContext(ctx, python, c.Command[1:]...)
	cmd.Env = []string{"PATH=" + filepath.Dir(python) + ":/usr/bin:/bin", "NO_PROXY=127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS=1"}
	for _, v := range c.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	cmd.Env = append(append(cmd.Env, "HOME="+t.TempDir()), more...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	return cmd
}

// hub is a Hugging Face Hub with one model.
type hub struct {
	files map[string][]byte

	mu   sync.Mutex
	got  []string // what was asked for, with the range
	half func()   // what happens once in the middle of the second shard
}

const shard = "model-00002-of-00002.safetensors"

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret" {
		http.Error(w, "a token is needed", http.StatusUnauthorized)
		return
	}
	names := slices.Sorted(maps.Keys(h.files))
	switch r.URL.Path {
	case "/api/models/acme/tiny/revision/" + revision:
		var siblings []map[string]string
		for _, name := range names {
			siblings = append(siblings, map[string]string{"rfilename": name})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "acme/tiny", "sha": revision, "siblings": siblings})
	case "/api/models/acme/tiny/tree/" + revision:
		var tree []map[string]any
		for _, name := range names {
			tree = append(tree, map[string]any{"type": "file", "oid": name, "path": name, "size": len(h.files[name])})
		}
		_ = json.NewEncoder(w).Encode(tree)
	default:
		name, _ := strings.CutPrefix(r.URL.Path, "/acme/tiny/resolve/"+revision+"/")
		h.file(w, r, name)
	}
}

func (h *hub) file(w http.ResponseWriter, r *http.Request, name string) {
	data, ok := h.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	w.Header().Set("X-Repo-Commit", revision)
	if r.Method == http.MethodHead {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
		return
	}
	h.mu.Lock()
	h.got = append(h.got, strings.TrimSpace(name+" "+r.Header.Get("Range")))
	half := h.half
	if name == shard {
		h.half = nil
	}
	h.mu.Unlock()
	if name != shard || half == nil {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data[:len(data)/2])
	w.(http.Flusher).Flush()
	half()
	panic(http.ErrAbortHandler) // the connection breaks
}

func (h *hub) breakOff(half func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.half = half
}

// asked returns what was asked for since the last call.
func (h *hub) asked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got
	h.got = nil
	slices.Sort(got)
	return got
}

// The download keeps the files of an attempt that was killed, continues a file whose
// connection breaks, ends where engines look, and costs nothing the next time.
func TestDownloadRuns(t *testing.T) {
	h := &hub{files: map[string][]byte{
		"config.json": []byte(`{"model_type": "tiny"}`), "model-00001-of-00002.safetensors": []byte("few weights"),
		shard: bytes.Repeat([]byte("weights "), 4<<20),
	}}
	server := httptest.NewServer(h)
	defer server.Close()
	mount := t.TempDir()
	at := filepath.Join(mount, "hub/models--acme--tiny/snapshots", revision)
	job := jobs(t, mount, "")["download"]
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	more := []string{"HF_ENDPOINT=" + server.URL, "HF_TOKEN=secret"}

	var log bytes.Buffer
	reached, goOn := make(chan struct{}), make(chan struct{})
	h.breakOff(func() { close(reached); <-goOn })
	first, ended := job.start(t, ctx, &log, more...), make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case <-reached:
	case <-ended:
		t.Fatal(log.String())
	}
	for _, name := range []string{"config.json", "model-00001-of-00002.safetensors"} {
		require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(at, name)); return err == nil }, time.Minute, 20*time.Millisecond)
	}
	require.NoError(t, first.Process.Kill())
	require.Error(t, <-ended)
	close(goOn)
	require.Len(t, h.asked(), 3)

	h.breakOff(func() {})
	log.Reset()
	require.NoError(t, job.start(t, ctx, &log, more...).Wait(), log.String())
	require.Contains(t, log.String(), at+" is complete")
	for name, want := range h.files {
		got, err := os.ReadFile(filepath.Join(at, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), name)
	}
	asked := h.asked()
	require.Len(t, asked, 2)
	require.Equal(t, shard, asked[0])
	require.Regexp(t, ` bytes=[1-9][0-9]*-`, asked[1])

	require.NoError(t, job.start(t, ctx, &log, more...).Wait(), log.String())
	require.Empty(t, h.asked(), "all of it is there")
	elsewhere := t.TempDir()
	require.Error(t, job.start(t, ctx, &log, "HF_ENDPOINT="+server.URL, "HF_TOKEN=wrong", "HF_HOME="+elsewhere, "CACHE_DIR="+elsewhere).Wait())
}

// openAI serves chat completions of the tokens asked for, with a pause before each.
func openAI(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/models" {
		fmt.Fprint(w, `{"object": "list", "data": [{"id": "acme/tiny", "object": "model"}]}`)
		return
	}
	if r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	const tokens = 4
	for i := range tokens {
		time.Sleep(20 * time.Millisecond)
		fmt.Fprintf(w, "data: {\"id\": \"1\", \"object\": \"chat.completion.chunk\", \"model\": \"acme/tiny\", \"choices\": [{\"index\": 0, \"delta\": {\"role\": \"assistant\", \"content\": \"%c\"}}]}\n\n", 'a'+i)
		w.(http.Flusher).Flush()
	}
	fmt.Fprintf(w, "data: {\"id\": \"1\", \"object\": \"chat.completion.chunk\", \"model\": \"acme/tiny\", \"choices\": [], \"usage\": {\"prompt_tokens\": 20, \"completion_tokens\": %d, \"total_tokens\": %d}}\n\n", tokens, 20+tokens)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// tokenizer makes one of single bytes.
const tokenizer = `
import json, os, sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
os.makedirs(sys.argv[1])
t = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.decoder = decoders.ByteLevel()
t.save(os.path.join(sys.argv[1], "tokenizer.json"))
json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, open(os.path.join(sys.argv[1], "tokenizer_config.json"), "w"))
`

// The benchmark measures a server of chat completions with the real AIPerf, and fails
// where a latency is above its target by more than the tolerance.
func TestBenchmarkRuns(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(openAI))
	defer server.Close()
	mount := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, c := range []struct{ name, sla, missed string }{
		{"met", "{ttft: 5000, itl: 1000}", ""},
		{"missed", "{ttft: 5000, itl: 15}", "inter-token latency: "},
	} {
		job := jobs(t, mount, "  workload: {isl: 20, osl: 4, concurrency: 2}\n  sla: "+c.sla+"\n")["benchmark"]
		if c.name == "met" {
			var log bytes.Buffer
			prepare := container{Command: []string{"python3", "-c", tokenizer, filepath.Join(mount, "hub/models--acme--tiny/snapshots", revision)}}
			require.NoError(t, prepare.start(t, ctx, &log).Wait(), log.String())
		}
		var log bytes.Buffer
		err := job.start(t, ctx, &log, "ENDPOINT="+server.URL).Wait()
		require.Contains(t, log.String(), "time to first token: ")
		require.Contains(t, log.String(), "inter-token latency: ")
		if c.missed == "" {
			require.NoError(t, err, log.String())
			continue
		}
		require.Error(t, err)
		require.Contains(t, log.String(), "missed: "+c.missed)
		require.NotContains(t, log.String(), "missed: time to first token")
	}
}
