package render

import (
	"fmt"
	"io"
	"log"
	"os"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomizing admits one build at a time: kustomize keeps the schema that it
// merges by in process globals. primed says that they hold the built-in schema
// and ours and nothing else, so that a build need not read both again.
var kustomizing struct {
	sync.Mutex
	primed bool
}

// kustomize builds a directory of a file system as `kustomize build` does, with
// our schema known. Plugins are off. That nothing remote is read is the file
// system's part: it holds no kustomization that names anything remote. ownSchema
// says that a kustomization brings a schema; where it describes a kind that ours
// describes too, it wins.
func kustomize(fsys filesys.FileSystem, dir string, ownSchema bool) (built resmap.ResMap, err error) {
	kustomizing.Lock()
	defer kustomizing.Unlock()
	defer func() {
		if cause := recover(); cause != nil {
			built, err = nil, fmt.Errorf("kustomize gave up: %v", cause)
		}
		if err != nil || ownSchema {
			kustomizing.primed = false
		}
	}()
	defer silence()()
	jsonpatch.AccumulatedCopySizeLimit = maxFileBytes // of one patch; thirty copies of copies are a gigabyte
	if !kustomizing.primed || ownSchema {
		openapi.ResetOpenAPI()
		schema, err := patchSchema()
		if err != nil {
			return nil, err
		}
		if err := openapi.AddSchema(schema); err != nil {
			return nil, fmt.Errorf("adding the DGD schema: %w", err)
		}
		kustomizing.primed = true
	}
	options := krusty.MakeDefaultOptions() // plugins off, Helm off
	options.Reorder = krusty.ReorderOptionUnspecified
	// A file may lie anywhere in the repository; the file system holds no other.
	options.LoadRestrictions = types.LoadRestrictionsNone
	return krusty.MakeKustomizer(options).Run(fsys, dir)
}

// silence keeps what kustomize says of deprecated fields away from stderr, which
// stays empty when all is well. It returns the way back.
func silence() func() {
	logged, stderr := log.Writer(), os.Stderr
	log.SetOutput(io.Discard)
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	return func() {
		log.SetOutput(logged)
		if os.Stderr != stderr {
			os.Stderr.Close()
			os.Stderr = stderr
		}
	}
}
