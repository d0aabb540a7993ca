package supervisor

import (
	"fmt"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// Pool says how many warm sandboxes are held ready by this process, of each backend that can start one before it is known
// for whom. A runtime that needs a sandbox gets one of them, and is no different for that; if there is none, one is started.
type Pool struct {
	// Least are held of the ordinary kind whether or not anybody asks.
	Least int
	// Most are held, of all kinds together: as many as were asked for in the last minute. 0 is no pool.
	Most int
}

// check says whether p makes sense. Code: Invalid, naming the field.
func (p Pool) check() error {
	switch {
	case p.Least < 0:
		return invalid("Config.Pool.Least", fmt.Errorf("%d is negative", p.Least))
	case p.Most < p.Least:
		return invalid("Config.Pool.Most", fmt.Errorf("%d is less than the least, %d", p.Most, p.Least))
	}
	return nil
}

// Stock is how many warm sandboxes there are.
type Stock = actors.Stock

// Pools tells what warm sandboxes there are in this process, and how many are wanted, by backend and kind.
func (s *System) Pools() []Stock {
	var all []Stock
	for _, name := range s.backendNames() {
		if p := s.pools[name]; p != nil {
			all = append(all, p.Stock()...)
		}
	}
	return all
}

// addPools makes the pools of the backends that can have one.
func (s *System) addPools() {
	s.pools = map[string]*actors.Pool{}
	for name, b := range s.backends {
		if _, ok := b.Shape(sandbox.Spec{}); ok && s.cfg.Pool.Most > 0 {
			s.pools[name] = actors.NewPool(actors.PoolConfig{Backend: b, Least: s.cfg.Pool.Least, Most: s.cfg.Pool.Most, Log: s.cfg.Log})
		}
	}
}

// claim gives a backend one of its pool.
func (s *System) claim(backend, shape string, spec sandbox.Spec) backends.Blank {
	p := s.pools[backend]
	if p == nil {
		return nil
	}
	return p.Claim(shape, spec)
}
