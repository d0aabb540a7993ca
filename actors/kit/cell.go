package kit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

type phase int

const (
	isDown    phase = iota // nothing runs; letters are kept for the next incarnation
	isUp                   // the actor receives
	isClosing              // it has heard Stopped; its children and tasks are ending
	isOver                 // gone for good
)

// A cell is the library's actor in which the incarnations of one of ours live. Only Receive and what it calls touch it.
type cell[M any] struct {
	link   *link
	parent *link // nil for the root
	make   func() Actor[M]
	lib    actor.Context

	mailbox mailbox

	phase  phase
	gen    uint64 // number of the incarnation
	actor  Actor[M]
	ctx    *Context[M]
	cancel context.CancelFunc
	tasks  int          // of this incarnation that run
	kept   []*letter[M] // that came while it was not up

	final  bool  // it will not be started again
	why    error // of the end of this incarnation
	grace  *time.Timer
	waited bool // the grace is over

	family
}

// spawn makes a cell. lib is its parent's context, or the library's root.
func spawn[M any](s *System, lib actor.SpawnerContext, parent *link, name string, make func() Actor[M]) (*link, error) {
	l := newLink(s, parent, name)
	c := &cell[M]{link: l, parent: parent, make: make}
	l.kind, l.waiting = kindOf[M](), c.mailbox.UserMessageCount
	c.mailbox.dead = func(m any) {
		if l, ok := m.(*letter[M]); ok && l.gen == 0 {
			c.link.sys.dead(c.link, l.m)
		}
	}
	props := actor.PropsFromProducer(func() actor.Actor { return c }, actor.WithMailbox(func() actor.Mailbox { return &c.mailbox }))
	s.born(l)
	if _, err := lib.SpawnNamed(props, l.id); err != nil {
		s.buried(l)
		return nil, err
	}
	return l, nil
}

// Receive implements the library's Actor.
func (c *cell[M]) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *letter[M]:
		c.letter(m)
	case *actor.Started:
		c.lib = ctx // the library has one for the life of the cell
		c.begin()
	case wake:
		c.close(nil, true)
	case pause:
		if c.phase == isUp {
			c.close(nil, false)
		}
	case begin:
		if c.phase == isDown {
			c.begin()
		}
	case overdue:
		if m.gen == c.gen && c.phase == isClosing {
			c.link.sys.log.Warn("tasks did not end in time", "actor", c.link.path, "tasks", c.tasks)
			c.waited = true
			c.settle()
		}
	case up:
		c.childUp(m.child)
	case fell:
		c.childFell(m.child, m.why)
	case due:
		m.p.due = true
		c.follow()
	case *actor.Terminated:
		c.childGone(m.Who.Id)
	case *actor.Stopping:
		c.stopping()
	case *actor.Stopped:
		c.mailbox.set(&c.mailbox.over, true)
		c.link.sys.buried(c.link)
		close(c.link.done)
	}
}

// begin starts an incarnation.
func (c *cell[M]) begin() {
	if c.link.halted.Load() {
		c.end()
		return
	}
	life, cancel := context.WithCancel(c.link.sys.life)
	c.gen++
	c.phase, c.cancel, c.ctx = isUp, cancel, &Context[M]{cell: c, gen: c.gen, life: life}
	c.tasks, c.why, c.waited = 0, nil, false
	if err := c.started(); err != nil {
		c.close(err, false)
		return
	}
	if c.parent != nil {
		c.parent.post(up{c.link})
	}
	kept := c.kept
	c.kept = nil
	for _, l := range kept { // if it fails over one, the others are kept again
		c.letter(l)
	}
}

func (c *cell[M]) started() (err error) {
	defer recovered(&err)
	c.actor = c.make()
	if _, ok := c.actor.(Waiter); ok {
		c.mailbox.set(&c.mailbox.aside, true)
	}
	if s, ok := c.actor.(Starter[M]); ok {
		return s.Started(c.ctx)
	}
	return nil
}

func (c *cell[M]) letter(l *letter[M]) {
	if l.gen != 0 && l.gen != c.gen {
		return // the result of an incarnation that is gone
	}
	if l.task {
		c.tasks--
	}
	if c.phase == isUp && c.link.halted.Load() {
		c.close(nil, true)
	}
	switch {
	case c.phase == isUp && l.err != nil:
		c.close(l.err, false)
	case c.phase == isUp:
		if err := c.receive(l.m); err != nil {
			refuse(l.m, err)
			c.close(err, false)
		}
	case l.gen != 0: // for this incarnation, which hears nothing any more
		c.settle()
	case c.final:
		c.link.sys.dead(c.link, l.m)
	default:
		c.kept = append(c.kept, l)
	}
}

func (c *cell[M]) receive(m M) (err error) {
	defer recovered(&err)
	return c.actor.Receive(c.ctx, m)
}

// close ends this incarnation, for good if final says so.
func (c *cell[M]) close(why error, final bool) {
	c.final = c.final || final
	if c.phase != isUp {
		c.settle()
		return
	}
	c.phase, c.why = isClosing, why
	c.cancel()
	c.drop()
	if err := c.stopped(); err != nil {
		c.link.sys.log.Error("an actor failed while it was stopping", "actor", c.link.path, "err", err)
	}
	c.settle()
}

func (c *cell[M]) stopped() (err error) {
	defer recovered(&err)
	if s, ok := c.actor.(Stopper[M]); ok {
		why := c.why
		if why == ErrNormal {
			why = nil
		}
		s.Stopped(c.ctx, why)
	}
	return nil
}

// settle goes on with the end as far as it can: children one by one, last one first; tasks; then the word to the
// supervisor, or the end for good.
func (c *cell[M]) settle() {
	if c.phase == isClosing {
		if n := len(c.kids); n > 0 {
			c.kids[n-1].link.halt()
			return
		}
		if c.tasks > 0 && !c.waited {
			if c.grace == nil {
				gen := c.gen
				c.grace = time.AfterFunc(c.link.sys.cfg.Grace, func() { c.link.post(overdue{gen}) })
			}
			return
		}
		if c.grace != nil {
			c.grace.Stop()
			c.grace = nil
		}
		c.phase, c.actor = isDown, nil
		if !c.final && c.parent != nil {
			why := c.why
			if why == nil {
				why = ErrNormal
			}
			c.parent.post(fell{c.link, why})
			return
		}
	}
	if c.phase == isDown && (c.final || c.parent == nil) {
		c.end()
	}
}

// end lets the library end the cell.
func (c *cell[M]) end() {
	c.phase, c.final = isOver, true
	if c.why != ErrNormal {
		c.link.err = c.why
	}
	for _, l := range c.kept {
		c.link.sys.dead(c.link, l.m)
	}
	c.kept = nil
	c.lib.Stop(c.lib.Self())
}

// stopping is how a stop looks that the library made and not we: the cell itself has panicked, which is a bug of this
// package.
func (c *cell[M]) stopping() {
	if c.phase == isOver {
		return
	}
	if c.phase == isUp {
		c.phase, c.why = isClosing, errors.New("a bug ended its cell")
		c.cancel()
		_ = c.stopped()
	}
	c.phase, c.final, c.link.err = isOver, true, c.why
}

// HandleFailure implements the library's SupervisorStrategy for what recovered did not catch.
func (c *cell[M]) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, why, _ any) {
	c.link.sys.log.Error("a cell failed", "actor", child.Id, "err", fmt.Sprint(why))
	s.StopChildren(child)
}
