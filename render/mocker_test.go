package render_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// mockerCase is a request with the mocker, and what was found for it.
type mockerCase struct {
	name, model, backend, strategy string
	change                         func(*profile.Result)
}

func mockerCases() []mockerCase {
	const dense, experts = "Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B" // AIConfigurator ships their configurations
	return []mockerCase{
		{"dense on vllm", dense, "vllm", "rapid", func(*profile.Result) {}},
		{"dense on trtllm", dense, "trtllm", "rapid", func(*profile.Result) {}},
		{"experts on sglang", experts, "sglang", "rapid", func(res *profile.Result) {
			res.Pick.Roles[0].Parallelism = profile.Parallelism{TP: 2, PP: 1, DP: 1, MoETP: 1, MoEEP: 2}
			res.Pick.Roles[1].Parallelism = profile.Parallelism{TP: 1, PP: 1, DP: 4, MoETP: 1, MoEEP: 4}
		}},
		{"no tables", dense, "vllm", "rapid", func(res *profile.Result) { res.Confidence = profile.Naive }},
		{"measured curves", dense, "vllm", "thorough", func(res *profile.Result) {
			res.Confidence = profile.Measured
			res.Curves = &profile.Curves{
				Prefill: profile.PrefillCurve{
					ISL: []float64{100, 500, 1000, 2000, 4000}, TTFTMillis: []float64{15, 35, 60, 110, 210}, TokensPerSecondPerGPU: []float64{1, 2, 3, 4, 5},
				},
				Decode: profile.DecodeCurve{
					KVUsage: []float64{0.1, 0.2, 0.3, 0.1, 0.2, 0.3}, ContextLength: []float64{350, 350, 350, 1250, 1250, 1250},
					ITLMillis: []float64{6, 8, 10, 5, 7, 9}, TokensPerSecondPerGPU: []float64{1, 2, 3, 4, 5, 6}, MaxKVTokens: 100000,
				},
			}
		}},
	}
}

// Dynamo's own mocker and frontend start with the arguments that we render for
// them, find each other, and answer a request.
func TestMockerServes(t *testing.T) {
	for _, c := range mockerCases() {
		t.Run(c.name, func(t *testing.T) {
			dynamo := newDynamo(t, c.model)
			containers, data := c.render(t)
			require.Contains(t, containers, "Frontend")
			require.Len(t, containers, 3)
			url := ""
			for name, args := range containers {
				if name == "Frontend" {
					address := freeAddress(t)
					host, port, _ := net.SplitHostPort(address)
					args, url = append(args, "--http-host", host, "--http-port", port), "http://"+address
				}
				for i, arg := range args {
					if arg == "/workspace/profiling_results" { // a mount of the ConfigMap
						args[i] = t.TempDir()
						for file, content := range data {
							require.NoError(t, os.WriteFile(filepath.Join(args[i], file), []byte(content), 0o600))
						}
					}
				}
				dynamo.start(t, name, args)
			}
			body, err := json.Marshal(map[string]any{
				"model": c.model, "max_tokens": 3, "ignore_eos": true, "messages": []any{map[string]any{"role": "user", "content": "a b"}},
			})
			require.NoError(t, err)
			answer := dynamo.ask(t, url+"/v1/chat/completions", body)
			require.Contains(t, answer, `"completion_tokens":3`)
		})
	}
}

// render returns the arguments of the deployment's containers by component, and
// what the ConfigMap of measured curves holds.
func (c mockerCase) render(t *testing.T) (map[string][]string, map[string]string) {
	t.Helper()
	repo := write(t, map[string]string{
		".git/HEAD": "",
		"app/dgdr.yaml": "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentRequest\nmetadata: {name: a}\nspec:\n  model: " + c.model +
			"\n  backend: " + c.backend + "\n  searchStrategy: " + c.strategy + "\n  image: nvcr.io/nvidia/ai-dynamo/dynamo-planner:1.5.1\n" +
			"  hardware: {gpuSku: h200_sxm, totalGpus: 16, numGpusPerNode: 8}\n  features: {mocker: {enabled: true}}\n",
	})
	out, _, err := build(t, filepath.Join(repo, "app"), func(context.Context, *profile.Request) (render.Answer, error) {
		res, err := profile.ParseResult(resultOf(t, "mocker_planner"))
		if err == nil {
			res.Pick.Backend = profile.Backend(c.backend)
			c.change(res)
		}
		return render.Answer{Result: res, Digest: "sha256:0123"}, err
	})
	require.NoError(t, err)
	containers, data := map[string][]string{}, map[string]string{}
	for dec := yaml.NewDecoder(bytes.NewReader(out)); ; {
		var doc struct {
			Data map[string]string
			Spec struct {
				Components []struct {
					Name        string
					PodTemplate struct {
						Spec struct {
							Containers []struct{ Command, Args []string }
						}
					} `yaml:"podTemplate"`
				}
			}
		}
		if dec.Decode(&doc) == io.EOF {
			return containers, data
		}
		for file, content := range doc.Data {
			data[file] = content
		}
		for _, component := range doc.Spec.Components {
			container := component.PodTemplate.Spec.Containers[0]
			require.Equal(t, "python3", container.Command[0])
			containers[component.Name] = append(container.Command[1:], container.Args...)
		}
	}
}

// dynamo runs Dynamo's processes, which find each other in files and a model
// without weights in a cache of the Hub.
type dynamo struct {
	python string
	env    []string
}

func newDynamo(t *testing.T, model string) *dynamo {
	t.Helper()
	python := os.Getenv("DYNAMO_CMP_DYNAMO")
	if python == "" {
		t.Skip("DYNAMO_CMP_DYNAMO names no Python with planner/testdata/requirements-dynamo.txt")
	}
	tables := os.Getenv("DYNAMO_CMP_PYTHON")
	if tables == "" {
		tables = filepath.Join("..", ".venv", "bin", "python")
	}
	packages, err := filepath.Glob(filepath.Join(filepath.Dir(tables), "../lib/python3*/site-packages"))
	require.NoError(t, err)
	if len(packages) != 1 {
		t.Skipf("no AIConfigurator, from which the mocker takes its timing: %s: set DYNAMO_CMP_PYTHON, or make venv", tables)
	}
	packages[0], err = filepath.Abs(packages[0])
	require.NoError(t, err)
	hub := t.TempDir()
	writeModel(t, filepath.Join(hub, "models--"+strings.ReplaceAll(model, "/", "--")))
	return &dynamo{python, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONPATH=" + packages[0], "HF_HUB_CACHE=" + hub, "HF_HUB_OFFLINE=1",
		"DYN_FILE_KV=" + t.TempDir(), "DYN_NAMESPACE=test", "DYN_TCP_RPC_HOST=127.0.0.1", "DYN_HTTP_RPC_HOST=127.0.0.1",
		"DYN_SYSTEM_HOST=127.0.0.1", "DYN_TCP_RESPONSE_STREAM_HOST=lo",
		"DYN_DISCOVERY_BACKEND=file", "DYN_REQUEST_PLANE=tcp", "DYN_EVENT_PLANE=zmq",
	}}
}

// enter runs a module without __init__ of Dynamo's planner, which wants a client of
// Kubernetes that the mocker does not need: it takes the planner's fit alone.
const enter = `
import importlib.util, runpy, sys, types
package = types.ModuleType("dynamo.planner")
package.__path__ = [f"{path}/planner" for path in importlib.util.find_spec("dynamo").submodule_search_locations]
sys.modules["dynamo.planner"] = package
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
`

// start runs a container's module with its arguments until the test ends.
func (d *dynamo) start(t *testing.T, name string, args []string) {
	t.Helper()
	require.Equal(t, "-m", args[0])
	log := &bytes.Buffer{}
	cmd := exec.CommandContext(t.Context(), d.python, append([]string{"-c", enter}, args[1:]...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = d.env, t.TempDir(), log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Wait() // it is killed with the test's context
		if t.Failed() {
			t.Logf("%s %v:\n%s", name, args, log.Bytes()[max(0, log.Len()-3000):])
		}
	})
}

// ask posts a request until it is answered: the model is there when every
// process has found the others.
func (d *dynamo) ask(t *testing.T, url string, body []byte) string {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		resp, err := http.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			last = err.Error()
			continue
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		if resp.StatusCode == http.StatusOK {
			return string(data)
		}
		last = resp.Status + " " + string(data)
	}
	require.Fail(t, "no answer", last)
	return ""
}

// writeModel writes a model as the Hub's cache holds it: a configuration, and a
// tokenizer that has a token for each of the characters that the mocker says.
func writeModel(t *testing.T, dir string) {
	t.Helper()
	vocab := map[string]int{"<s>": 0, "</s>": 1, "<unk>": 2}
	for c := ' '; c < '~'; c++ {
		vocab[string(c)] = len(vocab)
	}
	for c := '\u4e00'; len(vocab) < 2000; c++ {
		vocab[string(c)] = len(vocab)
	}
	snapshot := filepath.Join(dir, "snapshots", revision)
	require.NoError(t, os.MkdirAll(snapshot, 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "refs"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "refs/main"), []byte(revision), 0o600))
	for file, content := range map[string]any{
		"config.json": map[string]any{
			"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "vocab_size": len(vocab), "hidden_size": 64, "intermediate_size": 128,
			"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 32768, "bos_token_id": 0, "eos_token_id": 1,
		},
		"tokenizer_config.json": map[string]any{
			"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
			"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
		},
		"tokenizer.json": map[string]any{
			"version": "1.0", "decoder": map[string]any{"type": "Fuse"}, "added_tokens": []any{},
			"model": map[string]any{"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": []any{}},
		},
	} {
		data, err := json.Marshal(content)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(snapshot, file), data, 0o600))
	}
}

// freeAddress is an address of loopback that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
