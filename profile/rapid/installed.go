package rapid

import (
	"context"
	"fmt"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// Installed is what a sweep would use now.
type Installed struct {
	Tool    string
	Version string
	Tables  string // version of the performance tables; empty where there are none
}

// Installed returns what a sweep over tables of that kind would use now. database is
// the kind that a result names, or empty for a result without tables.
func (p *Profiler) Installed(ctx context.Context, system string, backend profile.Backend, database string) (Installed, error) {
	ctx, cancel := p.pool.bind(ctx)
	defer cancel()
	w, err := p.pool.acquire(ctx, nil, func(string) {})
	if err != nil {
		return Installed{}, fmt.Errorf("starting AIConfigurator: %w", err)
	}
	defer p.pool.release(w)
	in := Installed{Tool: w.hello.Tool, Version: w.hello.Version}
	if database == "" {
		return in, nil
	}
	params := map[string]any{"system": system, "backend": backend, "database": database}
	if err := w.call(ctx, "tables", params, &in.Tables, nil); err != nil {
		return Installed{}, fmt.Errorf("aiconfigurator: %w", err)
	}
	return in, nil
}
