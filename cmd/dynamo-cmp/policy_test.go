package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const policyHead = "apiVersion: dynamo-cmp.github.io/v1\nkind: Policy\n"

func TestPolicyDemands(t *testing.T) {
	p, err := parsePolicy("policy.yaml", []byte(policyHead+"confidences: [measured]\nbackends: [vllm, sglang]\nrequireSignature: true\nmaxAge: 36h\n"))
	require.NoError(t, err)
	require.Equal(t, policy{confidences: []string{"measured"}, backends: []string{"vllm", "sglang"}, requireSignature: true, maxAge: 36 * time.Hour}, p)
	p, err = parsePolicy("policy.yaml", []byte(policyHead))
	require.NoError(t, err)
	require.Equal(t, policy{}, p)
}

// A demand that is not understood is one that nobody would enforce.
func TestPolicyIsStrict(t *testing.T) {
	for data, want := range map[string]string{
		"":                            "policy.yaml: is empty",
		"# nothing\n":                 "policy.yaml: is empty",
		"---\n":                       "policy.yaml:2: must be a mapping",
		"[]":                          "policy.yaml:1: must be a mapping",
		policyHead + "---\nkind: x":   "policy.yaml: holds more than one YAML document",
		policyHead + "kind: Policy":   "policy.yaml:3: kind: is given twice",
		policyHead + "\tmaxAge: 1d":   "policy.yaml:",
		policyHead + "maxAge: 0d":     `policy.yaml:3: maxAge: is "0d", want a positive number`,
		policyHead + "maxAge: 3":      `policy.yaml:3: maxAge: is "3", want a positive number`,
		policyHead + "maxAge: [90d]":  `policy.yaml:3: maxAge: is "", want a positive number`,
		policyHead + "backends: vllm": "policy.yaml:3: backends: must be a list of vllm, sglang, trtllm",
		policyHead + "requireSignature: \"true\"":               "policy.yaml:3: requireSignature: must be true or false",
		policyHead + "confidences: &a [measured]\nbackends: *a": "policy.yaml:4: backends: must be a list",
	} {
		_, err := parsePolicy("policy.yaml", []byte(data))
		require.ErrorContains(t, err, want, data)
	}
}
