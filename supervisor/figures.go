package supervisor

import (
	"cmp"
	"errors"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/figures"
	"github.com/sandtree/sandtree/sandbox"
)

// Figures are what a System has done and how it is. What is behind a pointer goes on. Package instruments tells them as
// Prometheus' metrics.
type Figures struct {
	Actions  *figures.Histogram // nanoseconds from the call of Do to its end
	Ended    *figures.Outcomes  // how those ended
	Actors   map[string]kit.Figures
	Runtimes *actors.Figures
	Journal  *journal.Figures
	Backends map[string]BackendFigures
}

// BackendFigures are those of one backend.
type BackendFigures struct {
	*backends.Figures
	Janitor *actors.JanitorFigures
	Pool    *PoolFigures // nil if it has none
}

// PoolFigures are those of a pool.
type PoolFigures struct {
	Warm, Wanted  int    // sandboxes now, of all kinds
	Claimed, None uint64 // how often one was asked for and there was one, and was none
	Failures      uint64 // how often none could be started, or one ended by itself
}

// Figures takes the figures.
func (s *System) Figures() Figures {
	f := Figures{Actions: s.actions, Ended: &s.ended, Actors: s.tree.Figures(), Runtimes: s.counts, Journal: s.journal.Figures(),
		Backends: map[string]BackendFigures{}}
	for name, b := range s.backends {
		of := BackendFigures{Figures: b.Figures()}
		if p := s.pools[name]; p != nil {
			of.Pool = poolFigures(p)
		}
		f.Backends[name] = of
	}
	for _, j := range s.janitors {
		of := f.Backends[j.Backend()]
		of.Janitor = j.Figures()
		f.Backends[j.Backend()] = of
	}
	return f
}

func poolFigures(p *actors.Pool) *PoolFigures {
	f := &PoolFigures{Failures: p.Failures()}
	f.Claimed, f.None = p.Claims()
	for _, s := range p.Stock() {
		f.Warm, f.Wanted = f.Warm+s.Warm, f.Wanted+s.Wanted
	}
	return f
}

// Healthy is why the System does not work any more; nil while it does. Code: Unavailable.
func (s *System) Healthy() error {
	select {
	case <-s.tree.Done():
		return &sandbox.Error{Code: sandbox.Unavailable, Op: "supervisor", Err: cmp.Or(s.tree.Err(), errors.New("it is closed"))}
	default:
		return nil
	}
}
