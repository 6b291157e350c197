package review

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestFields(t *testing.T) {
	for _, tt := range []struct{ name, base, head, want string }{
		{"equal trees in another order", "{a: 1, b: 2}", "{b: 2, a: 1}", ""},
		{"a value, and keys that are no words", `{m: {a.b/c: x, d: [1]}}`, `{m: {a.b/c: y, d: [1]}}`, `m["a.b/c"]: x → y`},
		{"absent and null are the same", "{a: null}", "{}", ""},
		{"empty is not absent", "{a: ''}", "{}", `a: "" → (not set)`},
		{"an object against a value", "{a: {b: 1}}", "{a: 7}", `a: {"b":1} → 7`},
		{"objects with names by these, in any order", "{c: [{name: x, v: 1}, {name: y}]}", "{c: [{name: y}, {name: x, v: 2}]}", "c[x].v: 1 → 2"},
		{"an object more", "{c: [{name: x}]}", "{c: [{name: x}, {name: y}]}", `c[y]: (not set) → {"name":"y"}`},
		{"one name twice: by place", "{c: [{name: x, v: 1}, {name: x}]}", "{c: [{name: x, v: 2}, {name: x}]}", "c[0].v: 1 → 2"},
		{"a command line by flag", "{args: [-m, dynamo.vllm, --tp, '4', --b=1, --on]}", "{args: [-m, dynamo.vllm, --b, '2', --tp, '8']}",
			"args --b: 1 → 2\nargs --on: (set) → (not set)\nargs --tp: 4 → 8"},
		{"a flag twice: by place", "{args: [--a, --a]}", "{args: [--a, --b]}", "args[1]: --a → --b"},
		{"JSON in a string", `{data: {c.json: '{"a": 1, "b": [1]}'}}`, `{data: {c.json: '{"a": 2, "b": [1]}'}}`, `data["c.json"].a: 1 → 2`},
		{"lines and length", "{a: x}", "{a: \"y\\n" + strings.Repeat("z", 300) + "\"}", "a: x → y " + strings.Repeat("z", 198) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			for _, f := range compareTrees(read(t, tt.base), read(t, tt.head)) {
				lines = append(lines, f.line())
			}
			require.Equal(t, tt.want, strings.Join(lines, "\n"))
		})
	}
}

func read(t *testing.T, text string) any {
	t.Helper()
	var tree any
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree))
	return tree
}

// A Secret is masked wherever it stands: in a List, on one side alone, under another
// kind on the other side, malformed.
func TestSecretsAreMasked(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: hush}\nstringData: {b: 'hush'}\n"
	const list = "apiVersion: v1\nkind: List\nmetadata: {name: l}\nitems:\n- {kind: Secret, data: {a: hush}}\n- {kind: Secret, data: hush}\n"
	for _, tt := range []struct{ name, base, head string }{
		{"added", "", secret},
		{"removed", secret, ""},
		{"changed", secret, strings.ReplaceAll(secret, "hush", "hush2")},
		{"in a list", list, strings.ReplaceAll(list, "hush", "hush2")},
		{"a list that is added", "", list},
		{"no longer a Secret", secret, strings.Replace(secret, "kind: Secret", "kind: Other", 1)},
		{"malformed", strings.Replace(secret, "{a: hush}", "[hush]", 1), secret},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, err := objectsOf([]byte(tt.base))
			require.NoError(t, err)
			head, err := objectsOf([]byte(tt.head))
			require.NoError(t, err)
			r := Review{Apps: []Change{{Dir: "d", Status: Changed, Objects: compareObjects(base, head, nil)}}}
			require.NotEmpty(t, r.Apps[0].Objects)
			if tt.name == "no longer a Secret" { // what is not a Secret is not masked, what was one is
				require.NotContains(t, r.Apps[0].Objects[1].Base, "hush")
				return
			}
			require.NotContains(t, r.Text(false)+r.Markdown(), "hush")
		})
	}
}

func TestObjectsArePaired(t *testing.T) {
	object := func(name, value string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {a: %s}\n", name, value)
	}
	for _, tt := range []struct{ name, base, head, want string }{
		{"by name", object("a", "1"), object("a", "2"), "ConfigMap a: 1 field"},
		{"without the hash", object("a-0123456789", "1"), object("a-bcdfghkmt2", "2"), "ConfigMap a-bcdfghkmt2 (was a-0123456789): 2 fields"},
		{"by the new name of a request", object("old-dgd-config-0123456789", "1"), object("new-dgd-config-2345678901", "1"),
			"ConfigMap new-dgd-config-2345678901 (was old-dgd-config-0123456789): 1 field"},
		{"or not", object("a", "1"), object("b", "1"), "ConfigMap a: removed\nConfigMap b: added"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, err := objectsOf([]byte(tt.base))
			require.NoError(t, err)
			head, err := objectsOf([]byte(tt.head))
			require.NoError(t, err)
			var titles []string
			for _, o := range compareObjects(base, head, map[string]string{"old": "new"}) {
				titles = append(titles, o.title())
			}
			require.Equal(t, tt.want, strings.Join(titles, "\n"))
		})
	}
}

func TestCommentHasRoom(t *testing.T) {
	r := Review{Base: Revision{Name: "main"}, Head: Revision{Name: "worktree"}}
	for i := range 300 {
		manifest := strings.Repeat(fmt.Sprintf("line of %d\n", i), 100)
		r.Apps = append(r.Apps, Change{Dir: fmt.Sprintf("apps/a%03d", i), Status: Changed,
			Objects: []ObjectChange{{Kind: "ConfigMap", Name: "c", Status: Added, Head: manifest}}})
	}
	text := r.Markdown()
	require.LessOrEqual(t, len(text), MaxComment)
	require.Contains(t, text, "#### `apps/a299` changed")
	require.Contains(t, text, "line of 0\n")
	require.NotContains(t, text, "line of 299\n")
	require.Regexp(t, "> [0-9]+ manifests left out: a comment has room for 65,536 characters. To see all: `dynamo-cmp diff --base main`.\n$", text)
	require.Equal(t, strings.Count(text, "<details>"), strings.Count(text, "</details>"))

	for i := range r.Apps {
		r.Apps[i].Errors = []SideError{{"head", strings.Repeat("e", 10_000)}}
	}
	text = r.Markdown()
	require.LessOrEqual(t, len(text), MaxComment)
	require.Contains(t, text, "sections and")
}

// What comes from a repository neither ends a block nor mentions anybody.
func TestCommentKeepsItsForm(t *testing.T) {
	r := Review{Base: Revision{Name: "a`b"}, Head: Revision{Name: "worktree"}, Apps: []Change{{
		Dir: "apps/`x`", Status: Changed,
		Requests: []RequestChange{{Name: "x", Status: Changed, Base: &Standing{Topology: "a|b @everyone"}, Head: &Standing{},
			Why: []string{"<img src=x> [a](http://b) changed"}}},
		Objects: []ObjectChange{{Kind: "ConfigMap", Name: "</summary>", Status: Added, Head: "a: |\n  ```\n  ````\n"}},
	}}}
	text := r.Markdown()
	require.Contains(t, text, "`a'b`")
	require.Contains(t, text, "a&#124;b &#64;everyone")
	require.Contains(t, text, "- &lt;img src=x&gt; &#91;a&#93;(http://b) changed\n")
	require.Contains(t, text, "<summary>ConfigMap &lt;/summary&gt;: added</summary>")
	require.Contains(t, text, "\n`````yaml\na: |\n  ```\n  ````\n`````\n")

	r.Apps[0].Dir = "\x1b[31mred"
	require.NotContains(t, r.Text(false), "\x1b")
	require.Contains(t, r.Text(true), "\x1b[1m [31mred changed\x1b[0m")
}

func TestPrices(t *testing.T) {
	const file = "apiVersion: dynamo-cmp.github.io/v1\nkind: Prices\ncurrency: USD\ngpuHour: {h200_sxm: 3.5, l4: 0}\n"
	p, err := ParsePrices("p.yaml", []byte(file))
	require.NoError(t, err)
	require.Equal(t, 10.5, *p.perHour("h200_sxm", 3))
	require.Zero(t, *p.perHour("l4", 3))
	require.Nil(t, p.perHour("a30", 1))
	require.Zero(t, *p.perHour("a30", 0))
	require.Nil(t, (*Prices)(nil).perHour("h200_sxm", 1))
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown field", "currency", "currensy", "p.yaml: unmarshal errors: line 3: field currensy not found in type"},
		{"another kind", "Prices", "Price", `p.yaml: is "Price" of "dynamo-cmp.github.io/v1", this version reads Prices of dynamo-cmp.github.io/v1`},
		{"a GPU that nobody knows", "l4", "l5", "p.yaml: gpuHour.l5: no such gpuSku"},
		{"a negative price", "3.5", "-3.5", "p.yaml: gpuHour.h200_sxm: is -3.5, want a price of at least 0"},
		{"no number", "3.5", ".nan", "p.yaml: gpuHour.h200_sxm: is NaN, want a price of at least 0"},
		{"no price", "{h200_sxm: 3.5, l4: 0}", "{}", "p.yaml: gpuHour: is missing: the price of an hour of one GPU, by gpuSku"},
		{"no currency", "USD", "dollars", `p.yaml: currency: is "dollars", want a code such as USD or EUR`},
		{"two documents", "kind: Prices", "kind: Prices\n---\na: b", "p.yaml: is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParsePrices("p.yaml", []byte(strings.Replace(file, tt.old, tt.new, 1)))
			if tt.name == "two documents" {
				_, err = ParsePrices("p.yaml", []byte(file+"---\na: b\n"))
				tt.want = "p.yaml: holds more than one YAML document"
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestGateRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, rule := range []string{"measured", "gpus>", "gpus>-1", "gpus>1.5", "cost>x", "cost", "naive>1", "gpus>=3", ""} {
		_, err := ParseGate([]string{rule})
		require.ErrorContains(t, err, fmt.Sprintf("unknown rule %q, want some of naive, ", rule))
	}
}

func TestRollout(t *testing.T) {
	const base = `{metadata: {name: d}, spec: {components: [
	  {name: F, replicas: 1, podTemplate: {spec: {containers: [{name: main, args: [-m, dynamo.frontend]}]}}},
	  {name: W, replicas: 2, podTemplate: {spec: {containers: [{name: main, command: [python3, -m, dynamo.vllm]}]}}}]}}`
	for _, tt := range []struct{ name, old, new, want string }{
		{"an image", "command: [python3", "image: x, command: [python3", "restarts W"},
		{"replicas", "replicas: 2", "replicas: 3", "scales W from 2 to 3"},
		{"the planner takes over", "replicas: 2", "scalingAdapter: {}", "scales W from 2 to 1"},
		{"annotations", "{name: d}", "{name: d, annotations: {a: b}}", "nothing restarts: labels and annotations of the deployment alone"},
		{"what all components have", "spec: {components", "spec: {env: [{name: A}], components", "restarts F, W"},
		{"a component", "name: W,", "name: V,", "recreate: the components are F, W, now F, V, which Dynamo does not change in place; delete d, then sync"},
		{"the backend", "dynamo.vllm", "dynamo.sglang", "recreate: the backend is vllm, now sglang, which Dynamo does not change in place; delete d, then sync"},
		{"the name", "{name: d}", "{name: e}", "recreate: d is deleted and e is created"},
		{"nothing", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := func(text string) map[string]any {
				return plainTree(read(t, strings.ReplaceAll(text, "\t", ""))).(map[string]any)
			}
			require.Equal(t, tt.want, strings.Join(rollout(tree(base), tree(strings.Replace(base, tt.old, tt.new, 1))), "; "))
		})
	}
}
