package render

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	kubernetes "sigs.k8s.io/yaml"
)

// Strings that one YAML version or another reads as something else.
func TestStringsStayStrings(t *testing.T) {
	for _, s := range []string{
		"", "y", "Y", "n", "yes", "No", "on", "OFF", "true", "False", "null", "Null", "~", "=", "<<",
		"1", "-1", "+1", "0x1F", "0o17", "017", "0b11", "1_000", "1.", ".5", "-.5", "1e3", "1.5E-3", "1:30", "190:20:30.15",
		".inf", "-.Inf", "+.inf", ".NaN", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5",
		"-", "--", "- a", "? a", ": a", "a: b", "a #b", "#a", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "{a", "[a", "'a", `"a`, "a:", ",a",
		" a", "a ", "a\n", "\na", "a\nb", "a\n\n", "  a\nb", "\ta", "a\tb", "a\r\nb", "\u0007", "\u2028", "\u00e9", "\U0001F600", "---", "...", "a\n---\nb",
		"--tensor-parallel-size", "8", "2Gi", `{"kv_connector":"NixlConnector","kv_role":"kv_both"}`,
	} {
		out, err := encode([]manifest{{node: tree(object{"key": []any{s}, s: "value"})}})
		require.NoError(t, err)

		want := map[string]any{"key": []any{s}}
		want[s] = "value"
		var old, now map[string]any
		require.NoError(t, kubernetes.Unmarshal(out, &old), "%q:\n%s", s, out)
		require.Equal(t, want, old, "%q in YAML 1.1:\n%s", s, out)
		require.NoError(t, yaml.Unmarshal(out, &now), "%q:\n%s", s, out)
		require.Equal(t, want, now, "%q in YAML 1.2:\n%s", s, out)
	}
}

func TestNumbersStayNumbers(t *testing.T) {
	for _, f := range []float64{0, -1, 1.5, 1e21, 1e-7, 123456789012, 0.1, 1 << 53, 5e300} {
		out, err := encode([]manifest{{node: tree(object{"key": f})}})
		require.NoError(t, err)
		var got struct{ Key float64 }
		require.NoError(t, kubernetes.Unmarshal(out, &got), string(out))
		require.Equal(t, f, got.Key, string(out))
	}
}

// Key order follows Dynamo's output, whatever the order of a Go map.
func TestKeyOrder(t *testing.T) {
	out, err := encode([]manifest{{node: tree(object{
		"zeta": "1", "alpha": []any{}, "envFrom": object{}, "args": []any{"a"}, "name": "main", "image": "i", "replicas": int64(1), "env": nil,
	})}})
	require.NoError(t, err)
	require.Equal(t, `name: main
replicas: 1
image: i
args:
- a
env: null
envFrom: {}
alpha: []
zeta: '1'
`, string(out))
}
