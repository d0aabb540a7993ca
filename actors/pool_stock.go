package actors

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// Pool is how others reach a pool. Safe for concurrent use.
type Pool struct {
	cfg PoolConfig

	mu     sync.Mutex
	shapes map[string]*shape
	ref    kit.Ref[poolMsg] // zero before it has started
	closed bool

	claims   [2]atomic.Uint64 // that found none, that found one
	failures atomic.Uint64
}

// Failures is how often a warm sandbox could not be started, or ended by itself.
func (p *Pool) Failures() uint64 { return p.failures.Load() }

// Claims is how often a warm sandbox was asked for and there was one, and how often there was none.
func (p *Pool) Claims() (warm, none uint64) { return p.claims[1].Load(), p.claims[0].Load() }

// shape is what a pool has of one.
type shape struct {
	like   sandbox.Spec // one with this shape
	least  int
	blanks []backends.Blank
	asked  []time.Time // requests that count, the oldest first
}

// Stock is what a pool has of one shape.
type Stock struct {
	Backend, Shape string
	Warm           int // that wait
	Wanted         int
}

// NewPool makes a pool, to be started as a Member.
func NewPool(cfg PoolConfig) *Pool {
	cfg.Recent = cmp.Or(cfg.Recent, time.Minute)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)).With("backend", cfg.Backend.Name())
	p := &Pool{cfg: cfg, shapes: map[string]*shape{}}
	if name, ok := cfg.Backend.Shape(sandbox.Spec{}); ok && cfg.Most > 0 && cfg.Least > 0 {
		p.shapes[name] = &shape{least: min(cfg.Least, cfg.Most)}
	}
	return p
}

// Claim gives a warm sandbox of that shape, for the caller alone, or nil. It does not wait.
func (p *Pool) Claim(name string, spec sandbox.Spec) backends.Blank {
	p.mu.Lock()
	if p.closed || p.cfg.Most <= 0 {
		p.mu.Unlock()
		return nil
	}
	s := p.shapes[name]
	if s == nil {
		s = &shape{}
		p.shapes[name] = s
	}
	s.like = shapeOnly(spec)
	s.asked = append(s.asked, time.Now())
	if len(s.asked) > p.cfg.Most { // more are not wanted anyway
		s.asked = s.asked[len(s.asked)-p.cfg.Most:]
	}
	var found backends.Blank
	for found == nil && len(s.blanks) > 0 {
		last := len(s.blanks) - 1 // the latest, which is most likely still in the caches
		if b := s.blanks[last]; b.Alive() {
			found = b
		} else {
			defer b.Stop(context.Background(), 0)
		}
		s.blanks = s.blanks[:last]
	}
	ref := p.ref
	p.mu.Unlock()
	if found != nil {
		p.claims[1].Add(1)
	} else {
		p.claims[0].Add(1)
	}
	ref.Tell(look{})
	return found
}

// shapeOnly leaves out what a shape cannot depend on, as it is settled last: a pool keeps no secret.
func shapeOnly(s sandbox.Spec) sandbox.Spec {
	return sandbox.Spec{Limits: s.Limits, Egress: s.Egress}
}

// Stock tells what there is, by shape.
func (p *Pool) Stock() []Stock {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Stock
	for name, s := range p.shapes {
		all = append(all, Stock{p.cfg.Backend.Name(), name, len(s.blanks), p.wantedLocked(s)})
	}
	slices.SortFunc(all, func(a, b Stock) int { return cmp.Compare(a.Shape, b.Shape) })
	return all
}

// wantedLocked is how many of a shape are wanted now. What no longer counts is forgotten.
func (p *Pool) wantedLocked(s *shape) int {
	old := time.Now().Add(-p.cfg.Recent)
	s.asked = slices.DeleteFunc(s.asked, func(t time.Time) bool { return !t.After(old) })
	return min(p.cfg.Most, max(s.least, len(s.asked)))
}

// plan is what a look comes to.
type plan struct {
	start *sandbox.Spec    // like which one is to be started; nil is none
	out   []backends.Blank // that are to be ended: too many, or dead
	died  int              // of those
	next  time.Duration    // until the next look if nobody asks before; 0 is never
}

func (p *Pool) plan() (do plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return plan{}
	}
	total, lack := 0, 0
	for name, s := range p.shapes {
		dead, extra := s.keepLocked(p.wantedLocked(s))
		do.out, do.died = slices.Concat(do.out, dead, extra), do.died+len(dead)
		total += len(s.blanks)
		if d := p.wantedLocked(s) - len(s.blanks); d > lack { // the shape that lacks most
			like := s.like
			lack, do.start = d, &like
		}
		if len(s.asked) > 0 {
			if d := max(time.Millisecond, time.Until(s.asked[0].Add(p.cfg.Recent))); do.next == 0 || d < do.next {
				do.next = d
			}
		} else if s.least == 0 {
			delete(p.shapes, name) // it has no blanks any more
		}
	}
	if total >= p.cfg.Most {
		do.start = nil
	}
	return do
}

// keepLocked keeps n blanks that live, the latest, and takes out the others.
func (s *shape) keepLocked(n int) (dead, extra []backends.Blank) {
	var alive []backends.Blank
	for _, b := range s.blanks {
		if b.Alive() {
			alive = append(alive, b)
		} else {
			dead = append(dead, b)
		}
	}
	cut := max(0, len(alive)-n)
	s.blanks = alive[cut:]
	return dead, alive[:cut:cut]
}

// put adds a warm one; false if it is not wanted any more.
func (p *Pool) put(like sandbox.Spec, b backends.Blank) bool {
	name, _ := p.cfg.Backend.Shape(like)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shapes[name]
	if p.closed || s == nil {
		return false
	}
	s.blanks = append(s.blanks, b)
	return true
}

// Close ends the warm ones; there will be no more. Idempotent.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var all []backends.Blank
	for _, s := range p.shapes {
		all = append(all, s.blanks...)
	}
	p.shapes = map[string]*shape{}
	p.mu.Unlock()
	return stopAll(all)
}

func stopAll(blanks []backends.Blank) (err error) {
	for _, b := range blanks {
		err = cmp.Or(err, b.Stop(context.Background(), 0))
	}
	return err
}
