package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Where the planner image and its code look for their files
// (dynamo/profiler/utils/dgd_generation.py).
const (
	configPrefix    = "planner-config"
	configFile      = "planner_config.json"
	configPath      = "/workspace/planner_config"
	dataPrefix      = "planner-profile-data"
	profileDataPath = "/workspace/profiling_results"
	workingDir      = "/workspace/components/src/dynamo/planner"
	imageName       = "dynamo-planner"
)

// maxConfigMapBytes is the API server's limit on the data of a ConfigMap.
const maxConfigMapBytes = 1 << 20

// ConfigMap is a ConfigMap to render, and where containers see it. Its name ends
// in a hash of its data, so a changed configuration restarts the planner.
type ConfigMap struct {
	Name   string            // <dgd>-planner-config-<hash>
	Volume string            // name of the pod's volume, which does not change with the data
	Path   string            // where it is mounted, read-only
	Data   map[string]string // file name -> content
}

// Component is the planner's component of a deployment: type planner, one
// replica, no GPU. Its container mounts every ConfigMap of the planner.
type Component struct {
	Name       string
	Image      string
	WorkingDir string
	Command    []string
	Args       []string
}

// newConfigMap refuses what the API server would: more than 1 MiB of data.
func newConfigMap(dgdName, prefix, path string, data map[string]string) (ConfigMap, error) {
	h := sha256.New()
	size := 0
	for _, name := range slices.Sorted(maps.Keys(data)) {
		size += len(data[name])
		h.Write([]byte(name + "\x00" + data[name] + "\x00"))
	}
	if size > maxConfigMapBytes {
		return ConfigMap{}, fmt.Errorf("%s: %d bytes are more than a ConfigMap holds, which is %d", prefix, size, maxConfigMapBytes)
	}
	hash := hex.EncodeToString(h.Sum(nil))[:10]
	return ConfigMap{Name: dgdName + "-" + prefix + "-" + hash, Volume: prefix, Path: path, Data: data}, nil
}

func newComponent(image string) Component {
	return Component{
		Name:       "Planner",
		Image:      plannerImage(image),
		WorkingDir: workingDir,
		Command:    []string{"python3", "-m", "dynamo.planner"},
		Args:       []string{"--config", configPath + "/" + configFile},
	}
}

// plannerImage replaces the name in the last path segment; registry, port and
// tag stay (dynamo/profiler/utils/profile_common.py).
func plannerImage(image string) string {
	start := strings.LastIndex(image, "/") + 1
	tag := strings.IndexAny(image[start:], ":@")
	if tag < 0 {
		return image[:start] + imageName
	}
	return image[:start] + imageName + image[start+tag:]
}
