package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// patience is how long a command works without a word.
const patience = 2 * time.Second

// steps tells on stderr what a command is doing, once it takes longer than people
// wait without wondering.
type steps struct {
	out   io.Writer
	begun time.Time

	mu    sync.Mutex
	timer *time.Timer
	now   string
}

// newSteps writes to w until done.
func newSteps(w io.Writer) *steps {
	return &steps{out: w, begun: time.Now()}
}

// say notes the step that begins.
func (s *steps) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = fmt.Sprintf(format, args...)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(max(0, patience-time.Since(s.begun)), s.tell)
}

func (s *steps) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != "" {
		fmt.Fprintf(s.out, "%s …\n", s.now)
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
