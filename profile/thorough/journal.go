package thorough

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Journal keeps what was measured of each candidate outside the runner, so that
// another one goes on where this one stopped.
type Journal interface {
	// Load returns an entry and its files; found is false where there is none.
	Load(ctx context.Context, id string) (entry []byte, files []profile.File, found bool, err error)
	// Save keeps an entry. One that is there stays.
	Save(ctx context.Context, id string, entry []byte, files []profile.File) error
}

// entrySchema is raised when entries mean something else, which orphans older ones.
const entrySchema = "dynamo-cmp.github.io/measurement/v1"

// entry is what came of one job.
type entry struct {
	Schema     string       `json:"schema"`
	Engine     profile.Role `json:"engine"`
	Curve      bool         `json:"curve,omitempty"`
	Failure    *Failure     `json:"failure,omitempty"`
	Points     []point      `json:"points,omitempty"`
	KVTokens   int          `json:"kvTokens,omitempty"` // of the whole engine; decode only
	Image      string       `json:"image,omitempty"`    // by digest, as the node ran it
	GPUSeconds float64      `json:"gpuSeconds"`

	files []profile.File
}

// point is one load and what was measured under it.
type point struct {
	Load        Load        `json:"load"`
	Measurement Measurement `json:"measurement"`
}

// id is the digest of all that decides what a job measures.
func (s *sweep) id(j *job) (string, error) {
	data, err := json.Marshal(struct {
		Schema   string
		Key      profile.Key
		Engine   profile.Role
		Curve    bool
		Points   Points
		Replaces string
	}{entrySchema, s.key, j.engine, j.curve, s.options.Points, s.options.Replaces})
	if err != nil {
		return "", fmt.Errorf("encoding a candidate: %w", err)
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// recall looks for the entry of a job in the journal.
func (s *sweep) recall(ctx context.Context, j *job) error {
	data, files, found, err := s.options.Journal.Load(ctx, j.id)
	if err != nil {
		return fmt.Errorf("looking for earlier measurements: %w", err)
	}
	if !found {
		return nil
	}
	var r entry
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("reading the measurement of %s: %w", j, err)
	}
	r.files = files
	j.entry = &r
	return nil
}

// keep puts an entry into the journal, through outages of the store. A full disk is
// none.
func (s *sweep) keep(ctx context.Context, j *job) error {
	data, err := json.MarshalIndent(j.entry, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the measurement of %s: %w", j, err)
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 5*time.Second, retryFor, true, func(ctx context.Context) (bool, error) {
		last = s.options.Journal.Save(ctx, j.id, data, j.entry.files)
		var disk *fs.PathError
		if errors.As(last, &disk) {
			return false, last
		}
		if last != nil {
			s.say(j, "cannot keep the measurement, tries again: "+last.Error())
		}
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("keeping the measurement of %s: %w", j, last)
	}
	return err
}
