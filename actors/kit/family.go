package kit

import (
	"math/rand/v2"
	"slices"
	"time"
)

// family is the part of a cell that supervises its children.
type family struct {
	kids    []*kid // in order of start
	plans   []*plan
	history History
}

type kid struct {
	link  *link
	kind  Kind
	state kidState
}

type kidState int

const (
	starting kidState = iota // has been told to start, has not said that it is up
	running
	pausing // has been told to pause
	resting // is down and may be started
	ending  // has been told to end for good
	lost    // is no longer in the list
)

// A plan is what a strategy said after one death, being carried out step by step.
type plan struct {
	steps []step
	timer *time.Timer // of the first step, when that is to wait
	due   bool        // the timer has fired
}

type step struct {
	op    Op
	kid   *kid
	after time.Duration
	why   error
}

func (f *family) kid(name string) *kid {
	i := slices.IndexFunc(f.kids, func(k *kid) bool { return k.link.name == name })
	if i < 0 {
		return nil
	}
	return f.kids[i]
}

func (f *family) of(l *link) *kid {
	i := slices.IndexFunc(f.kids, func(k *kid) bool { return k.link == l })
	if i < 0 {
		return nil
	}
	return f.kids[i]
}

// drop gives up all plans.
func (f *family) drop() {
	for _, p := range f.plans {
		p.stop()
	}
	f.plans = nil
}

// supersede gives up the plans that have yet to touch a child that a new plan touches.
func (f *family) supersede(by *plan) {
	f.plans = slices.DeleteFunc(f.plans, func(old *plan) bool {
		hit := slices.ContainsFunc(old.steps, func(s step) bool {
			return slices.ContainsFunc(by.steps, func(n step) bool { return n.kid == s.kid })
		})
		if hit {
			old.stop()
		}
		return hit
	})
}

func (p *plan) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

func (c *cell[M]) childUp(l *link) {
	k := c.of(l)
	if k == nil || k.state != starting || c.phase != isUp {
		return
	}
	k.state = running
	c.tell(ChildEvent{Name: l.name, What: Up})
	c.follow()
}

// childFell hears that a child is down. If it was told to, a plan waits for it; otherwise it is a death.
func (c *cell[M]) childFell(l *link, why error) {
	k := c.of(l)
	if k == nil || c.phase != isUp {
		return
	}
	was := k.state
	if was == ending {
		return // it ended by itself while being told to: it will go all the same
	}
	k.state = resting
	if was != pausing {
		c.death(k, why)
	}
	c.follow()
}

func (c *cell[M]) childGone(id string) {
	i := slices.IndexFunc(c.kids, func(k *kid) bool { return k.link.pid.Id == id })
	if i < 0 {
		return
	}
	k := c.kids[i]
	k.state = lost
	c.kids = slices.Delete(c.kids, i, i+1)
	if c.phase != isUp {
		c.settle()
		return
	}
	c.tell(ChildEvent{Name: k.link.name, What: Ended, Err: k.link.err})
	c.follow()
}

// death asks the strategy and makes its effects the plan.
func (c *cell[M]) death(k *kid, why error) {
	d := Death{Who: slices.Index(c.kids, k), Why: why, At: time.Now(), Random: rand.Float64()}
	for _, one := range c.kids {
		d.Children = append(d.Children, Child{one.link.name, one.kind})
	}
	p := &plan{}
	event := ChildEvent{Name: k.link.name, What: Died, Err: why}
	again, wait := false, time.Duration(0)
	for _, e := range c.strategy()(d, c.history) {
		wait += e.After
		if e.Op == Begin && e.Child == d.Who {
			again = true
			event.Attempt, event.Of, event.Next = e.Attempt, e.Of, d.At.Add(wait)
		}
		p.steps = append(p.steps, step{e.Op, c.kids[e.Child], e.After, why})
	}
	if again {
		if len(c.history) == HistoryKept {
			c.history = slices.Delete(c.history, 0, 1)
		}
		c.history = append(c.history, Restart{k.link.name, d.At})
	}
	c.link.sys.died(k.link, event, again)
	c.supersede(p)
	c.plans = append(c.plans, p)
	if again {
		if event.Err == ErrNormal {
			event.Err = nil
		}
		c.tell(event)
	}
}

func (c *cell[M]) strategy() Strategy {
	if s, ok := c.actor.(Supervisor); ok {
		if s := s.Strategy(); s != nil {
			return s
		}
	}
	return escalate
}

// follow goes on with every plan as far as it can.
func (c *cell[M]) follow() {
	for _, p := range slices.Clone(c.plans) {
		for c.phase == isUp && len(p.steps) > 0 && c.take(p, p.steps[0]) {
			p.steps, p.due, p.timer = p.steps[1:], false, nil
		}
	}
	c.plans = slices.DeleteFunc(c.plans, func(p *plan) bool { return len(p.steps) == 0 })
}

// take begins, or looks after, one step and says whether it is complete.
func (c *cell[M]) take(p *plan, s step) bool {
	switch s.op {
	case Pause:
		if s.kid.state == running || s.kid.state == starting {
			s.kid.state = pausing
			s.kid.link.post(pause{})
		}
		return s.kid.state != pausing
	case Begin:
		if s.after > 0 && !p.due {
			if p.timer == nil {
				p.timer = time.AfterFunc(s.after, func() { c.link.post(due{p}) })
			}
			return false
		}
		if s.kid.state == resting {
			s.kid.state = starting
			s.kid.link.post(begin{})
		}
		return s.kid.state != starting
	case End:
		if s.kid.state != lost && s.kid.state != ending {
			s.kid.state = ending
			s.kid.link.halt()
		}
		return s.kid.state == lost
	case Escalate:
		c.close(s.why, false)
	}
	return true
}

// tell tells the actor, if it wants to know.
func (c *cell[M]) tell(e ChildEvent) {
	w, ok := c.actor.(Watcher[M])
	if !ok || c.phase != isUp {
		return
	}
	if err := c.told(w, e); err != nil {
		c.close(err, false)
	}
}

func (c *cell[M]) told(w Watcher[M], e ChildEvent) (err error) {
	defer recovered(&err)
	return w.Child(c.ctx, e)
}
