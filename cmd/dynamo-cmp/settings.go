package main

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// setting is one thing that can be set: by the operator with a flag or its
// DYNAMO_CMP_* variable, and by an Application where narrow says how.
type setting struct {
	name  string // of the flag and of the parameter
	title string // in the form that Argo CD shows
	help  string // of the flag, in the form, and in the reference
	bind  func(*pflag.FlagSet, *options, setting)
	// narrow makes the options stricter by what an Application says, or takes what
	// is its own affair; nil where an Application has no say.
	narrow func(*options, []string) error
}

// settings is the one table behind the flags, the variables, the parameters that
// Argo CD announces, and docs/reference-parameters.md.
func settings() []setting {
	return []setting{
		{
			name: "allow", title: "Allowed confidences",
			help:   "confidences that may be rendered, of measured,simulated,estimated,imported,naive (empty: all)",
			bind:   func(f *pflag.FlagSet, o *options, s setting) { f.StringSliceVar(&o.allow, s.name, nil, s.help) },
			narrow: (*options).narrowAllow,
		},
		{
			name: "require-sla-met", title: "Require that the SLA is met",
			help:   "refuse results that miss the SLA of their request, and naive ones, which never looked at it",
			bind:   func(f *pflag.FlagSet, o *options, s setting) { f.BoolVar(&o.requireSLAMet, s.name, false, s.help) },
			narrow: (*options).narrowSLA,
		},
		{
			name: "dgd-version", title: "Version of the deployments",
			help: "version of the DynamoGraphDeployments: v1beta1, or v1alpha1 for kustomize components that are written against it",
			bind: func(f *pflag.FlagSet, o *options, s setting) {
				f.StringVar(&o.dgdVersion, s.name, render.DGDVersions()[0], s.help)
			},
			narrow: (*options).chooseVersion,
		},
		{
			name: "store", title: "Store",
			help: "where results are: oci-layout:PATH or REGISTRY/REPO (empty: the nearest .dynamo-cmp/store at or above the directory)",
			bind: func(f *pflag.FlagSet, o *options, s setting) { f.StringVar(&o.store, s.name, "", s.help) },
		},
		{
			name: "resolve", title: "How a result is found",
			help: "how a result is found: locked (dynamo.lock only) or key (the key's tag in the store where the lock has no entry)",
			bind: func(f *pflag.FlagSet, o *options, s setting) { f.StringVar(&o.resolve, s.name, "locked", s.help) },
		},
		{
			name: "on-miss", title: "Requests without a result",
			help: "what a request without a result does: fail, or naive (one engine per node, unverified; for development)",
			bind: func(f *pflag.FlagSet, o *options, s setting) { f.StringVar(&o.onMiss, s.name, "fail", s.help) },
		},
		{
			name: "trusted-keys", title: "Trusted keys",
			help: "public keys in PEM, or directories of them (*.pub, *.pem): a result is rendered only with a signature of one of them (empty: signatures are not looked at)",
			bind: func(f *pflag.FlagSet, o *options, s setting) {
				f.StringSliceVar(&o.trustedKeys, s.name, nil, s.help)
			},
		},
		{
			name: "cache-dir", title: "Local copies",
			help: "local copies of results, by digest, and the locks that bound concurrent renders; empty for none",
			bind: func(f *pflag.FlagSet, o *options, s setting) {
				f.StringVar(&o.cacheDir, s.name, defaultCacheDir(), s.help)
			},
		},
		{
			name: "max-concurrent", title: "Concurrent renders",
			help: "how many renders with the same cache-dir run at once, as others wait; 0 for twice the CPUs, -1 for any number",
			bind: func(f *pflag.FlagSet, o *options, s setting) { f.IntVar(&o.maxConcurrent, s.name, 0, s.help) },
		},
		{
			name: "timeout", title: "Deadline",
			help: "give up after this long; keep it below Argo CD's 60 s, whose kill leaves no message",
			bind: func(f *pflag.FlagSet, o *options, s setting) {
				f.DurationVar(&o.timeout, s.name, 30*time.Second, s.help)
			},
		},
	}
}

// variable is how the environment calls a setting or another flag.
func variable(flag string) string {
	return "DYNAMO_CMP_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
