package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// progress tells what runs: one line that is rewritten on a terminal, a line for
// each step elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	stop     chan struct{}
	stopped  sync.WaitGroup

	mu     sync.Mutex
	count  int // of all requests
	done   int
	active []*running // in the order of their start
}

// running is a request that is being profiled.
type running struct {
	key     profile.Key
	name    string
	step    string
	started time.Time
}

// newProgress writes to w until close.
func newProgress(w io.Writer) *progress {
	p := &progress{out: w, stop: make(chan struct{})}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	p.stopped.Go(p.tick)
	return p
}

func (p *progress) close() {
	close(p.stop)
	p.stopped.Wait()
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
}

func (p *progress) total(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = n
}

func (p *progress) start(key profile.Key, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = append(p.active, &running{key: key, name: name, started: time.Now()})
}

// step notes what a profiler does for the inputs now.
func (p *progress) step(in profile.Inputs, message string) {
	key := in.Key()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.active {
		if r.key != key {
			continue
		}
		r.step = message
		if !p.terminal {
			fmt.Fprintf(p.out, "%s: %s\n", r.name, message)
		}
	}
}

func (p *progress) finish(o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	for i, r := range p.active {
		if o.job.req != nil && r.name == o.job.req.Name && r.key == o.job.req.Inputs().Key() {
			p.active = append(p.active[:i], p.active[i+1:]...)
			if o.status == statusProfiled {
				p.line("%s: profiled in %s (%d of %d)", r.name, time.Since(r.started).Round(time.Second/10), p.done, p.count)
			}
			return
		}
	}
}

// line prints a line that stays, above the one that is rewritten.
func (p *progress) line(format string, args ...any) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// tick keeps a waiting reader informed: on a terminal five times a second, in a
// log every ten seconds.
func (p *progress) tick() {
	every := 10 * time.Second
	if p.terminal {
		every = time.Second / 5
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.redraw()
		}
	}
}

func (p *progress) redraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.active) == 0 {
		return
	}
	if !p.terminal {
		for _, r := range p.active {
			fmt.Fprintf(p.out, "%s: %s, %s so far\n", r.name, r.step, time.Since(r.started).Round(time.Second))
		}
		return
	}
	oldest := p.active[0]
	more := ""
	if len(p.active) > 1 {
		more = fmt.Sprintf(" and %d more", len(p.active)-1)
	}
	fmt.Fprintf(p.out, "\r\033[K[%d/%d] %s: %s, %s%s", p.done, p.count, oldest.name, oldest.step, time.Since(oldest.started).Round(time.Second), more)
}
