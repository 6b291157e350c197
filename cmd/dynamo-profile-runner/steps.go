package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

// patience is how long a command works without a word.
const patience = 2 * time.Second

// steps tells what a command is doing, once it takes longer than people
// wait without wondering.
type steps struct {
	*progress
	begun time.Time

	mu    sync.Mutex
	timer *time.Timer
	now   string
}

// newSteps tells it on the command's stderr until done.
func newSteps(cmd *cobra.Command) *steps {
	return &steps{progress: progressOf(cmd), begun: time.Now()}
}

// say notes the step that begins.
func (s *steps) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = fmt.Sprintf(format, args...)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(max(0, patience-time.Since(s.begun)), s.speak)
}

func (s *steps) speak() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != "" {
		s.tell(telemetry.Event{Kind: telemetry.Progress, Text: s.now})
	}
}

func (s *steps) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = ""
	if s.timer != nil {
		s.timer.Stop()
	}
}
