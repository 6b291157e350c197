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

// releaseOf is what a request is rendered for: the version that a config names, or
// else that of its images.
func releaseOf(req *profile.Request) release {
	if named := namedVersion(req); named != "" {
		return releaseNamed(named)
	}
	_, version := imageVersion(req)
	return releaseNamed(minorOf(version))
}

// namedVersion is the version that a config names; empty where none does.
func namedVersion(req *profile.Request) string {
	if req.Config == nil {
		return ""
	}
	return req.Config.DynamoVersion
}

// imageVersion is the version of Dynamo in a request's images, and the field that
// says so.
func imageVersion(req *profile.Request) (path, version string) {
	if version = req.Spec.RuntimeVersionOverride; version != "" {
		return "spec.runtimeVersionOverride", version
	}
	image := req.Spec.Image
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return "spec.image", strings.TrimLeft(tag, "vV")
}

// minorOf is 1.5 of 1.5.1.
func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// DynamoVersion is the version of Dynamo in the images of a request, as 1.5.1.
func DynamoVersion(req *profile.Request) string {
	_, version := imageVersion(req)
	return version
}

// DynamoVersions are those that deployments are rendered for, as 1.5, in their order.
func DynamoVersions() []string {
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

// checkRelease refuses what the release of a request does not have.
func checkRelease(req *profile.Request) profile.Problems {
	r, spec := releaseOf(req), &req.Spec
	path, version := imageVersion(req)
	named := namedVersion(req)
	reason, remedy := fmt.Sprintf("which %s is", path), fmt.Sprintf("take images of Dynamo %s", defaultRelease)
	if named != "" {
		reason, remedy = fmt.Sprintf("which %s names", req.Config.File), fmt.Sprintf("set dynamoVersion %q", defaultRelease)
	}
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
			fault("spec.features."+f.name, "is not rendered for Dynamo %s, %s; leave it out, or %s", r.version, reason, remedy)
		}
	}
	if named != "" && minorOf(version) != named {
		fault(path, "is Dynamo %s, and %s says %s; make them agree", version, req.Config.File, named)
	}
	return problems
}

// adviseRelease warns of images of a version that we know nothing of.
func (a *assembly) adviseRelease() {
	path, version := imageVersion(a.req)
	if r := releaseOf(a.req); r.version != minorOf(version) {
		a.warnings = append(a.warnings, a.req.Problem(path, fmt.Sprintf("is Dynamo %s, of which nothing is known here; rendered as for %s (known are %s)",
			version, r.version, strings.Join(DynamoVersions(), ", "))))
	}
}
