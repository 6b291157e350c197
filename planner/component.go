package planner

import (
	"crypto/sha256"
	"encoding/hex"
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
)

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

func newConfigMap(dgdName, prefix string, data map[string]string) ConfigMap {
	path := configPath
	if prefix == dataPrefix {
		path = profileDataPath
	}
	return ConfigMap{Name: dgdName + "-" + prefix + "-" + contentHash(data), Volume: prefix, Path: path, Data: data}
}

// contentHash is 10 hex digits over names and contents.
func contentHash(data map[string]string) string {
	names := make([]string, 0, len(data))
	for name := range data {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		h.Write([]byte(name + "\x00" + data[name] + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil))[:10]
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

const imageName = "dynamo-planner"

// plannerImage replaces the last path segment's name; registry, port, tag and
// digest stay (dynamo/profiler/utils/profile_common.py).
func plannerImage(image string) string {
	repository, name := splitImage(image)
	return repository + imageName + strings.TrimPrefix(image[len(repository):], name)
}

// splitImage returns the part up to and with the last slash, and the name after
// it without tag and digest.
func splitImage(image string) (repository, name string) {
	repository = image[:strings.LastIndex(image, "/")+1]
	name = image[len(repository):]
	if end := strings.IndexAny(name, ":@"); end >= 0 {
		name = name[:end]
	}
	return repository, name
}
