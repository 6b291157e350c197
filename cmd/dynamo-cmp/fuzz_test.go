package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// FuzzParameters: whatever an Application says, the operator's policy is never less
// strict for it, and a refusal says which field it is about.
func FuzzParameters(f *testing.F) {
	paths, err := filepath.Glob("../../examples/gitops-repo/applications/*.yaml")
	require.NoError(f, err)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		var app struct {
			Spec struct {
				Source struct{ Plugin struct{ Parameters []any } }
			}
		}
		require.NoError(f, yaml.Unmarshal(data, &app))
		params, err := json.Marshal(app.Spec.Source.Plugin.Parameters)
		require.NoError(f, err)
		f.Add(string(params), "ALLOW", "simulated")
	}
	for _, seed := range []string{
		"null", `[{"name":"allow","array":["measured","naive"]}]`, `[{"name":"allow","array":[]}]`, `[{"name":"allow","map":{}}]`,
		`[{"name":"require-sla-met","string":"false"}]`, `[{"name":"store","string":"oci-layout:/"}]`, `[{"name":"allow"},{"name":"allow"}]`,
		`[{"name":"dgd-version","string":"v1alpha1"}]`, `[{"NAME":"timeout","String":"9h"}]`,
	} {
		f.Add(seed, "REQUIRE_SLA_MET", "true")
	}
	f.Fuzz(func(t *testing.T, params, name, value string) {
		operator := options{allow: []string{"measured", "simulated"}, requireSLAMet: true, store: "oci-layout:/s", resolve: "locked",
			onMiss: "fail", trustedKeys: []string{"k"}, dgdVersion: "v1beta1", cacheDir: "/c", maxConcurrent: 1, timeout: time.Second}
		o := operator
		o.allow = slices.Clone(operator.allow)
		if err := o.narrow([]string{argoParameters + "=" + params, argoEnv + variable("") + name + "=" + value}); err != nil {
			require.Regexp(t, `^(plugin\.(parameters|env) "|ARGOCD_APP_PARAMETERS: )`, err.Error())
		}
		require.Subset(t, operator.allow, o.allow)
		require.NotEmpty(t, o.allow)
		require.Contains(t, render.DGDVersions(), o.dgdVersion)
		o.allow, o.dgdVersion = operator.allow, operator.dgdVersion
		require.Equal(t, operator, o)
	})
}

// FuzzPolicy: a policy is understood whole, or demands nothing and is an error: what
// is taken of a file is what is written of it anew.
func FuzzPolicy(f *testing.F) {
	example, err := os.ReadFile("../../examples/gitops-repo/platform/policy.yaml")
	require.NoError(f, err)
	f.Add(example)
	f.Add([]byte(policyHead + "maxAge: 90d\nbackends: [vllm]\n"))
	f.Add([]byte(policyHead + "requireSignature: yes\nconfidences: []\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePolicy("policy.yaml", data)
		if err != nil {
			require.Equal(t, policy{}, p)
			for line := range strings.Lines(err.Error()) {
				require.True(t, strings.HasPrefix(line, "policy.yaml:"), line)
			}
			return
		}
		require.GreaterOrEqual(t, p.maxAge, time.Duration(0))
		for _, c := range p.confidences {
			require.Contains(t, profile.Confidences(), profile.Confidence(c))
		}
		var doc yaml.Node
		require.NoError(t, yaml.Unmarshal(data, &doc))
		again, err := yaml.Marshal(&doc)
		require.NoError(t, err)
		second, err := parsePolicy("policy.yaml", again)
		require.NoError(t, err)
		require.Equal(t, p, second)
	})
}
