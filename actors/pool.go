package actors

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// A pool holds warm sandboxes of one backend, started before anybody asked. Each is used once. How many there are follows
// demand: as many of a shape as were asked for lately, between bounds. They are started one at a time, and not while
// there is no room, so that a pool never takes the place of somebody who asks.
//
// The warm ones lie in the handle and not in the actor: taking one waits for nobody, and they outlive the actor's failure.

// Messages.
type (
	poolMsg interface{ poolMsg() } // sealed: those below and no other
	look    struct{}               // command: compare what there is with what is wanted
	lookDue struct{}               // event, from the timer
	warmed  struct{ err error }    // event: one was started, or not
	cleared struct{}               // event: what was too many has ended
)

func (look) poolMsg()    {}
func (lookDue) poolMsg() {}
func (warmed) poolMsg()  {}
func (cleared) poolMsg() {}

// PoolConfig says how many warm sandboxes are held.
type PoolConfig struct {
	Backend Heater
	Least   int           // of the shape of a spec that asks for nothing special, whether or not anybody asks
	Most    int           // of all shapes together; not positive: there is no pool
	Recent  time.Duration // how long a request counts; 0 means 1 minute
	Log     *slog.Logger
}

// Heater is the part of a backend that a pool needs.
type Heater interface {
	Name() string
	Shape(spec sandbox.Spec) (shape string, ok bool)
	Warm(ctx context.Context, spec sandbox.Spec) (backends.Blank, error)
}

// Member starts the pool below a group.
func (p *Pool) Member() kit.Member {
	return kit.MemberOf("pool", kit.Permanent, func() kit.Actor[poolMsg] { return &pool{p: p} }, func(ref kit.Ref[poolMsg]) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ref = ref
	})
}

// State. Only Receive and what it calls touch it.
type pool struct {
	p     *Pool
	busy  bool          // one is being started
	pause time.Duration // after a failure; 0 if the last one succeeded
	stop  func()        // of the timer; nil if there is none
}

// The pauses after a start that failed: doubled each time, so that what has no room is not pressed.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = time.Minute
)

// Started looks what is wanted from the beginning.
func (a *pool) Started(c *kit.Context[poolMsg]) error {
	a.look(c)
	return nil
}

// Receive implements kit.Actor.
func (a *pool) Receive(c *kit.Context[poolMsg], m poolMsg) error {
	switch m := m.(type) {
	case look:
		if a.pause == 0 { // else the timer comes, and no wish makes it come sooner
			a.look(c)
		}
	case lookDue:
		a.look(c)
	case cleared:
		if a.busy = false; a.pause == 0 {
			a.look(c)
			return nil
		}
		a.after(c, a.pause) // the timer may have come meanwhile
	case warmed:
		a.busy = false
		if m.err == nil {
			a.pause = 0
			a.look(c)
			return nil
		}
		a.rest(c, m.err)
	}
	return nil
}

// rest starts nothing for a while.
func (a *pool) rest(c *kit.Context[poolMsg], why error) {
	a.p.failures.Add(1)
	a.pause = min(lastPause, max(firstPause, 2*a.pause))
	a.p.cfg.Log.Info("no warm sandbox could be started", "err", why, "pause", a.pause)
	a.after(c, a.pause)
}

// after sets the timer, of which there is one; 0 only stops it.
func (a *pool) after(c *kit.Context[poolMsg], d time.Duration) {
	if a.stop != nil {
		a.stop()
	}
	if a.stop = nil; d > 0 {
		a.stop = c.After(d, lookDue{})
	}
}

func (a *pool) look(c *kit.Context[poolMsg]) {
	if a.busy {
		return // its end comes here
	}
	do := a.p.plan()
	a.after(c, do.next)
	if do.died > 0 { // what ends as soon as it has been started must not be started all the time
		do.start = nil
		a.rest(c, fmt.Errorf("%d have ended by themselves", do.died))
	}
	if do.start == nil && len(do.out) == 0 {
		return
	}
	a.busy = true
	p := a.p
	c.Task(func(ctx context.Context) poolMsg {
		if err := stopAll(do.out); err != nil {
			p.cfg.Log.Warn("a warm sandbox could not be ended", "err", err)
		}
		if do.start == nil {
			return cleared{}
		}
		b, err := p.cfg.Backend.Warm(ctx, *do.start)
		if err == nil && !p.put(*do.start, b) {
			err = b.Stop(context.WithoutCancel(ctx), 0)
		}
		return warmed{err}
	})
}
