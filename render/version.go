package render

import (
	"fmt"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// release is what differs between the versions of Dynamo that a deployment can be
// rendered for, as far as it shows in manifests. What a release does not have, or
// what we do not know of it, is refused.
type release struct {
	version  string // as a DynamoCMPConfig names it
	image    string // the profiler image of a DGDR that names none
	dgd      string // the only version of deployments; empty where both are served
	roles    bool   // vLLM's components are called by their roles
	kvRole   bool   // vLLM's connector is told which side it is
	graphs   string // SGLang's flag for the batch sizes of CUDA graphs
	kvRouter bool   // features.kvRouter
	planner  bool   // PlannerConfig as package planner writes it
	mocker   bool   // flags of the mocker as they are rendered
}

// releases are in their order. The facts are those of the wheels of 1.4.2, 1.5.1
// and 1.6.1.
func releases() []release {
	const image = "nvcr.io/nvidia/ai-dynamo/dynamo-planner:"
	return []release{
		{version: "1.4", image: image + "1.4.2", dgd: "v1alpha1", graphs: "--cuda-graph-bs"},
		{version: "1.5", image: profile.DefaultImage, graphs: "--cuda-graph-bs", kvRouter: true, planner: true, mocker: true},
		// Its planner and mocker take AIC settings under other names.
		{version: "1.6", image: image + "1.6.1", roles: true, kvRole: true, graphs: "--cuda-graph-bs-decode", kvRouter: true},
	}
}

const defaultRelease = "1.5"

// releaseNamed is the release of that version, or the default one.
func releaseNamed(version string) release {
	var found release
	for _, r := range releases() {
		if r.version == version || found.version == "" && r.version == defaultRelease {
			found = r
		}
	}
	return found
}

// releaseOf is what a request is rendered for.
func releaseOf(req *profile.Request) release {
	if req.Config == nil {
		return releaseNamed("")
	}
	return releaseNamed(req.Config.DynamoVersion)
}

// versions are those that a DynamoCMPConfig may name.
func versions() []string {
	var out []string
	for _, r := range releases() {
		out = append(out, r.version)
	}
	return out
}

// engine is how the release starts a backend.
func (r release) engine(b profile.Backend) engine {
	e := engineOf(b)
	if r.roles && b == profile.BackendVLLM {
		e.worker, e.prefill, e.decode = "worker", "prefill", "decode"
	}
	return e
}

// deployment is the version of a deployment where that one is asked for.
func (r release) deployment(version string) string {
	if r.dgd != "" {
		return r.dgd
	}
	return version
}

// connector is the setting of vLLM's KV connector for a role. Before 1.6 both
// sides are both.
func (r release) connector(role profile.RoleName) string {
	side := "kv_both"
	if r.kvRole {
		side = map[profile.RoleName]string{profile.RolePrefill: "kv_producer", profile.RoleDecode: "kv_consumer"}[role]
	}
	return `{"kv_connector":"NixlConnector","kv_role":"` + side + `"}`
}

// checkRelease refuses what the release that a config names does not have.
func checkRelease(req *profile.Request) profile.Problems {
	if req.Config == nil || req.Config.DynamoVersion == "" {
		return nil
	}
	r, spec := releaseOf(req), &req.Spec
	var problems profile.Problems
	fault := func(path, format string, args ...any) {
		problems = append(problems, req.Problem(path, fmt.Sprintf(format, args...)))
	}
	for _, f := range []struct {
		name        string
		used, known bool
	}{
		{"kvRouter", spec.Features.KVRouter, r.kvRouter},
		{"planner", spec.Features.Planner != nil, r.planner},
		{"mocker", spec.Features.Mocker, r.mocker},
	} {
		if f.used && !f.known {
			fault("spec.features."+f.name, "is not rendered for Dynamo %s, which %s names; leave it out, or set dynamoVersion %q", r.version, req.Config.File, defaultRelease)
		}
	}
	path, version := "spec.runtimeVersionOverride", spec.RuntimeVersionOverride
	if version == "" {
		_, tag, _ := strings.Cut(spec.Image[strings.LastIndex(spec.Image, "/")+1:], ":")
		path, version = "spec.image", strings.TrimLeft(tag, "vV")
	}
	if !strings.HasPrefix(version, r.version+".") {
		fault(path, "is Dynamo %s, and %s says %s; make them agree", version, req.Config.File, r.version)
	}
	return problems
}
