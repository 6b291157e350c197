package rapid

import (
	"context"
	"errors"
	"slices"
	"sync"
)

var errClosed = errors.New("the profiler is closed")

// pool keeps up to a number of workers alive and hands each request the worker
// that has loaded most of its tables, because loading them is what costs.
type pool struct {
	launch func(context.Context) (*worker, error)

	mu      sync.Mutex
	unborn  int // workers that may still be started
	idle    []*worker
	waiting []*waiter // oldest first
	closed  bool
	active  sync.WaitGroup // acquired, not yet released

	life context.Context // of every worker; ends with close
	end  context.CancelFunc
}

// waiter is a request without a worker. It is handed one that is idle, or nil:
// the right to start one.
type waiter struct {
	tables []string
	hand   chan *worker
}

func newPool(jobs int, launch func(context.Context) (*worker, error)) *pool {
	life, end := context.WithCancel(context.Background())
	return &pool{launch: launch, unborn: jobs, life: life, end: end}
}

// bind is a context that ends with ctx or with the pool.
func (p *pool) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(p.life, cancel)
	return ctx, func() { detach(); cancel() }
}

// acquire waits for a worker. The caller hands it to release. The context is one
// of bind.
func (p *pool) acquire(ctx context.Context, tables []string, say func(string)) (*worker, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	p.active.Add(1)
	p.mu.Unlock()
	w, err := p.obtain(ctx, tables, say)
	if err != nil {
		p.active.Done()
	}
	return w, err
}

func (p *pool) obtain(ctx context.Context, tables []string, say func(string)) (*worker, error) {
	p.mu.Lock()
	if i := p.closest(tables); i >= 0 && (p.unborn == 0 || shared(p.idle[i].tables, tables) > 0) {
		w := p.idle[i]
		p.idle = slices.Delete(p.idle, i, i+1)
		p.mu.Unlock()
		return w, nil
	}
	if p.unborn > 0 {
		p.unborn--
		p.mu.Unlock()
		return p.start(ctx, say)
	}
	me := &waiter{tables: tables, hand: make(chan *worker, 1)}
	p.waiting = append(p.waiting, me)
	p.mu.Unlock()
	select {
	case w := <-me.hand:
		if w == nil {
			return p.start(ctx, say)
		}
		return w, nil
	case <-ctx.Done():
		p.leave(me)
		return nil, ctx.Err()
	}
}

// start uses the right to start a worker, and gives it back where that fails.
func (p *pool) start(ctx context.Context, say func(string)) (*worker, error) {
	say("starting AIConfigurator")
	w, err := p.launch(ctx)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pass(nil)
		return nil, err
	}
	return w, nil
}

// maxTables is how many tables a worker loads before another takes its place:
// AIConfigurator keeps them all, some 100 MiB each.
const maxTables = 6

// release takes a worker back, dead or alive.
func (p *pool) release(w *worker) {
	if len(w.tables) >= maxTables {
		w.kill()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.active.Done()
	if w.dead {
		w = nil
	}
	p.pass(w)
}

// leave withdraws a waiter that gave up, and passes on what it was handed
// meanwhile.
func (p *pool) leave(me *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool { return w == me })
	select {
	case w := <-me.hand:
		p.pass(w)
	default:
	}
}

// pass hands a worker to the waiter whose tables it has, oldest first among
// equals, or keeps it. A nil worker is the right to start one. p.mu is held.
func (p *pool) pass(w *worker) {
	if len(p.waiting) == 0 {
		if w == nil {
			p.unborn++
		} else {
			p.idle = append(p.idle, w)
		}
		return
	}
	best := 0
	for i, one := range p.waiting {
		if w != nil && shared(w.tables, one.tables) > shared(w.tables, p.waiting[best].tables) {
			best = i
		}
	}
	p.waiting[best].hand <- w
	p.waiting = slices.Delete(p.waiting, best, best+1)
}

// close ends every worker, also those at work, and waits for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	p.active.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		w.kill()
	}
	p.idle = nil
}

// closest is the index of the idle worker that shares most tables, or -1.
func (p *pool) closest(tables []string) int {
	best := -1
	for i, w := range p.idle {
		if best < 0 || shared(w.tables, tables) > shared(p.idle[best].tables, tables) {
			best = i
		}
	}
	return best
}

func shared(a, b []string) int {
	n := 0
	for _, s := range a {
		if slices.Contains(b, s) {
			n++
		}
	}
	return n
}
