package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// A probe watches one sandbox and fails when maxMisses signs of life in a row were missed; and at once when the sandbox
// ends. It also keeps the sandbox from taking itself for an orphan.

// Messages.
type (
	probeMsg interface{ probeMsg() } // sealed: the three types below and no other
	ping     struct{}                // command, from the timer
	pinged   struct {                // event: a sign of life was given, or missed
		err     error
		renewed time.Time // when the lease in the sandbox was renewed last
	}
	exited struct { // event: the sandbox ended
		exit sandbox.Exit
		err  error // nobody knows how
	}
)

func (ping) probeMsg()   {}
func (pinged) probeMsg() {}
func (exited) probeMsg() {}

// State. Only Receive touches it, so it has no lock.
type probe struct {
	sandbox   Sandbox
	interval  time.Duration
	maxMisses int
	renewal   time.Duration // longest time between renewals
	renewed   time.Time
	misses    int // in a row
}

// renewalMax is how long the lease in a sandbox goes without renewal: it lasts minutes.
const renewalMax = 30 * time.Second

// Started begins to watch. The sandbox has just been connected to, which renews.
func (p *probe) Started(c *kit.Context[probeMsg]) error {
	p.renewed = time.Now()
	c.Task(func(ctx context.Context) probeMsg {
		exit, err := p.sandbox.Wait(ctx)
		return exited{exit, err}
	})
	c.After(p.interval, ping{})
	return nil
}

// Receive implements kit.Actor.
func (p *probe) Receive(c *kit.Context[probeMsg], m probeMsg) error {
	switch m := m.(type) {
	case ping:
		renewed := p.renewed
		c.Task(func(ctx context.Context) probeMsg { return p.once(ctx, renewed) })
	case pinged:
		p.renewed = m.renewed
		switch {
		case sandbox.CodeOf(m.err) == sandbox.Conflict: // somebody newer drives this sandbox
			return m.err
		case m.err == nil:
			p.misses = 0
		default:
			p.misses++
		}
		if p.misses >= p.maxMisses {
			return unavailable(fmt.Errorf("%d signs of life missed: %w", p.misses, m.err))
		}
		c.After(p.interval, ping{})
	case exited:
		if m.err != nil {
			return unavailable(m.err)
		}
		return unavailable(&ExitError{m.exit})
	}
	return nil
}

func unavailable(err error) error {
	return &sandbox.Error{Code: sandbox.Unavailable, Op: "probe", Err: err}
}

// once asks for one sign of life.
func (p *probe) once(ctx context.Context, renewed time.Time) probeMsg {
	if time.Since(renewed) < p.renewal {
		return pinged{p.sandbox.Ping(ctx), renewed}
	}
	ctx, cancel := context.WithTimeout(ctx, p.renewal)
	defer cancel()
	now := time.Now()
	if err := p.sandbox.Renew(ctx); err != nil {
		return pinged{err, renewed}
	}
	return pinged{nil, now}
}
