package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

// screen writes events for people: on a terminal with one line that is rewritten, and a
// line for each step elsewhere.
type screen struct {
	out      io.Writer
	terminal bool
	stop     chan struct{}
	stopped  sync.WaitGroup

	mu          sync.Mutex
	done, total int
	active      []*running // in the order of their start
}

// newScreen writes to w. With requests it does until close.
func newScreen(w io.Writer) *screen {
	s := &screen{out: w, stop: make(chan struct{})}
	if f, ok := w.(*os.File); ok {
		s.terminal = term.IsTerminal(int(f.Fd()))
	}
	return s
}

func (s *screen) close() {
	close(s.stop)
	s.stopped.Wait()
	if s.terminal {
		fmt.Fprint(s.out, "\r\033[K")
	}
}

// Take writes an event, if people want to read it.
func (s *screen) Take(e telemetry.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.active, func(r *running) bool { return r.Request == e.Request })
	switch e.Kind {
	case telemetry.RequestStarted:
		if s.active == nil {
			s.stopped.Go(s.tick)
		}
		s.done, s.total = e.Done, e.Total
		s.active = append(s.active, &running{Request: e.Request, started: e.Time})
	case telemetry.Progress:
		if i < 0 {
			s.line(e.Text + " …")
			return
		}
		s.active[i].step = e.Text
		if !s.terminal {
			s.line(e.Request.Name + ": " + e.Text)
		}
	case telemetry.RequestEnded:
		s.done = e.Done
		if i >= 0 {
			s.active = slices.Delete(s.active, i, i+1)
		}
		if e.Outcome == telemetry.Profiled {
			s.line(e.Request.Name + ": " + e.Text)
		}
	case telemetry.Note, telemetry.Failure:
		s.line(e.Text)
	case telemetry.Warning:
		s.line("warning: " + e.Text)
	}
}

// line prints a line that stays, above the one that is rewritten.
func (s *screen) line(text string) {
	if s.terminal {
		fmt.Fprint(s.out, "\r\033[K")
	}
	fmt.Fprintln(profile.Printable(s.out), text)
}

// tick keeps a waiting reader informed: on a terminal five times a second, in a
// log every ten seconds.
func (s *screen) tick() {
	every := 10 * time.Second
	if s.terminal {
		every = time.Second / 5
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.redraw()
		}
	}
}

func (s *screen) redraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.active) == 0 {
		return
	}
	if !s.terminal {
		for _, r := range s.active {
			fmt.Fprintf(profile.Printable(s.out), "%s: %s, %s so far\n", r.Name, r.step, time.Since(r.started).Round(time.Second))
		}
		return
	}
	oldest := s.active[0]
	more := ""
	if len(s.active) > 1 {
		more = fmt.Sprintf(" and %d more", len(s.active)-1)
	}
	fmt.Fprintf(s.out, "\r\033[K[%d/%d] %s: %s, %s%s", s.done, s.total, oldest.Name, oldest.step, time.Since(oldest.started).Round(time.Second), more)
}
