package thorough

import (
	"context"
	"sync"
	"time"
)

// meter counts GPU time and ends a sweep whose budget is used up.
type meter struct {
	budget float64 // GPU seconds; 0 for none

	mu      sync.Mutex
	used    float64 // by what is over
	running map[*int]time.Time
}

func newMeter(maxGPUHours float64) *meter {
	return &meter{budget: maxGPUHours * 3600, running: map[*int]time.Time{}}
}

// spent adds what an earlier runner used.
func (m *meter) spent(gpuSeconds float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used += gpuSeconds
}

// run counts GPUs from now until stop.
func (m *meter) run(gpus int) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, id := time.Now(), &gpus
	m.running[id] = at
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.used += time.Since(at).Seconds() * float64(gpus)
		delete(m.running, id)
	}
}

// total is what was used until now, in GPU seconds.
func (m *meter) total() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := m.used
	for gpus, since := range m.running {
		sum += time.Since(since).Seconds() * float64(*gpus)
	}
	return sum
}

// guard ends the context with ErrBudget when the budget is used up.
func (m *meter) guard(ctx context.Context, cancel context.CancelCauseFunc) {
	if m.budget == 0 {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if m.total() >= m.budget {
			cancel(ErrBudget)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
