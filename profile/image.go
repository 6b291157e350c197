package profile

import (
	"regexp"
	"strings"
)

// imageReference follows the grammar of the distribution project's reference
// package: host and port, path, tag, digest.
var imageReference = regexp.MustCompile(`^((?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?` +
	`[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*)` +
	`(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@([a-z0-9]+:[0-9a-f]{32,}))?$`)

// semverTag is a strict X.Y.Z with an optional v, pre-release and build
// (operator, internal/runtimeversion).
var semverTag = regexp.MustCompile(`^[vV]?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

var runtimeVersion = regexp.MustCompile(`^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$`)

func (d *decoder) checkImage(s *Spec) {
	const path = "spec.image"
	if o := s.RuntimeVersionOverride; o != "" && !runtimeVersion.MatchString(o) {
		d.problem("spec.runtimeVersionOverride", "must be X.Y.Z, each part from 0 to 9999, is %s", quote(o))
	}
	m := imageReference.FindStringSubmatch(s.Image)
	switch {
	case m == nil || len(s.Image) > 1024:
		d.problem(path, "is no image reference: %s", quote(s.Image))
	case m[3] != "":
		d.problem(path, "must not be pinned by digest: the engine images are derived from its name and would keep a digest that is not theirs; use a version tag")
	case s.RuntimeVersionOverride == "" && m[2] == "":
		d.problem(path, "has no tag; use a version tag X.Y.Z, or set spec.runtimeVersionOverride to the Dynamo version in the image")
	case s.RuntimeVersionOverride == "" && !semverTag.MatchString(m[2]):
		d.problem(path, "tag %s is no version X.Y.Z; set spec.runtimeVersionOverride to the Dynamo version in the image, or use a version tag", quote(m[2]))
	}
}

// RuntimeImage derives an engine's image from the profiler image: the last path
// segment changes, registry, path and tag stay (profiler/utils/profile_common.py).
func RuntimeImage(profilerImage string, b Backend) string {
	name := map[Backend]string{
		BackendVLLM:   "vllm-runtime",
		BackendSGLang: "sglang-runtime",
		BackendTRTLLM: "tensorrtllm-runtime",
	}[b]
	slash := strings.LastIndex(profilerImage, "/")
	last := profilerImage[slash+1:]
	tag := ""
	if i := strings.IndexAny(last, ":@"); i >= 0 {
		tag = last[i:]
	}
	return profilerImage[:slash+1] + name + tag
}
