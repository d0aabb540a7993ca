package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// A runtime that nobody uses rests: its sandbox is paused, and after a longer while stopped. It is brought up again, as one
// that another process has left, by the next action, by whoever wants to use the sandbox directly and by whoever waits until
// it is ready. What waits for that waits in the steward's queue, so that an action is done as often as ever: once.
//
// The runtime's actor does not rest with the sandbox, it ends: nobody must ask what is frozen for signs of life.

// idle is the part of a steward that knows how long its sandbox has not been used, and what follows.
type idle struct {
	after sandbox.Idle
	phase phase
	is    Rest      // of phase asleep; else what it is to become
	place Sandbox   // that rests; its client is closed
	last  time.Time // of what counts as use
	users map[*use]struct{}
	not   time.Time // before which it does not rest
	stop  func()    // of the timer; nil if there is none
}

// Rest is how a sandbox rests.
type Rest string

// The ways to rest.
const (
	Paused Rest = "paused"  // its processes are stopped where they are
	Halted Rest = "stopped" // its processes have ended; its files are there
)

type phase int

const (
	awake   phase = iota // or on its way to be, or failed
	parting              // the runtime is letting go of the sandbox
	lulling              // the sandbox is being paused or halted
	asleep
)

// A use is somebody's who has the sandbox itself.
type use struct{ over bool } // touched by the steward only

// Messages, besides those of the steward.
type (
	restDue  struct{}
	rested   struct{ err error }
	enough   struct{ use *use } // it is over
	awakened struct{ err error }
)

func (restDue) stewardMsg()  {}
func (rested) stewardMsg()   {}
func (enough) stewardMsg()   {}
func (awakened) stewardMsg() {}

const (
	// settle is how long a sandbox that has just come up is left up at least, however long it was not used before: whoever
	// has opened it may be about to use it.
	settle = time.Minute
	// restTimeout bounds a pause, which takes a millisecond, or a halt, which takes some hundred.
	restTimeout = 30 * time.Second
)

// Resting is when a runtime of spec rests. One that is to live until it is removed is left alone, unless it says otherwise.
func (c Config) Resting(spec sandbox.Spec) sandbox.Idle {
	if spec.OrphanAfter < 0 {
		return spec.Idle
	}
	return spec.Idle.Or(c.Idle)
}

// next says how a sandbox is to rest that is (or is not, "") resting, and when; "" is never.
func (i *idle) next(is Rest) (Rest, time.Time) {
	pause, stop := i.after.PauseAfter, i.after.StopAfter
	how, after := Paused, pause
	switch {
	case is == "" && pause > 0 && (stop <= 0 || pause < stop):
	case is != Halted && stop > 0:
		how, after = Halted, stop
	default:
		return "", time.Time{}
	}
	at := i.last.Add(after)
	if is == "" {
		at = later(at, i.not)
	}
	return how, at
}

// unused says whether nothing keeps the sandbox from resting but the time.
func (s *steward) unused() bool {
	return s.sandbox != nil && len(s.jobs) == 0 && len(s.idle.users) == 0 && s.ending == nil && s.fenced == nil
}

// came notes that the sandbox is up.
func (i *idle) came() {
	now := time.Now()
	if i.last.IsZero() {
		i.last = now
	}
	i.not = time.Time{}
	if how, at := i.next(""); how != "" {
		i.not = now.Add(min(settle, at.Sub(i.last)))
	}
}

// watch sets the timer, if there is none: one that comes too soon is set again.
func (s *steward) watch(c *kit.Context[stewardMsg]) {
	if s.idle.stop != nil {
		return
	}
	var is Rest
	switch {
	case s.idle.phase == asleep:
		is = s.idle.is
	case !s.unused():
		return // its end comes here
	}
	if how, at := s.idle.next(is); how != "" {
		s.idle.stop = c.After(max(0, time.Until(at)), restDue{})
	}
}

// used notes the end of something that counts as use.
func (s *steward) used(c *kit.Context[stewardMsg]) {
	s.idle.last = time.Now()
	s.watch(c)
}

// restDue looks whether it is time to rest.
func (s *steward) restDue(c *kit.Context[stewardMsg]) {
	s.idle.stop = nil
	var is Rest
	switch {
	case s.idle.phase == asleep && s.ending == nil && s.fenced == nil:
		is = s.idle.is
	case s.idle.phase != awake || !s.unused():
		return
	}
	how, at := s.idle.next(is)
	switch {
	case how == "":
	case time.Now().Before(at):
		s.watch(c)
	case is == "":
		s.idle.phase, s.idle.is, s.idle.place = parting, how, s.sandbox
		s.sandbox = nil
		c.StopChild("runtime") // Child goes on
	default:
		s.lull(c, how)
	}
}

// lull has the sandbox paused or halted, of which the runtime has let go.
func (s *steward) lull(c *kit.Context[stewardMsg], how Rest) {
	s.idle.phase, s.idle.is = lulling, how
	place := s.idle.place
	c.Task(func(ctx context.Context) stewardMsg {
		ctx, cancel := context.WithTimeout(ctx, restTimeout)
		defer cancel()
		if how == Paused {
			return rested{place.Pause(ctx)}
		}
		return rested{place.Halt(ctx)}
	})
}

func (s *steward) rested(c *kit.Context[stewardMsg], m rested) error {
	i := &s.idle
	i.phase = asleep
	unused := time.Since(i.last).Round(time.Second)
	message := fmt.Sprintf("not used for %v, the sandbox is %s until it is", unused, i.is)
	switch sandbox.CodeOf(m.err) {
	case "":
	case sandbox.NotFound: // it has ended meanwhile, or somebody has removed it
		i.is = Halted
		message = fmt.Sprintf("not used for %v, the sandbox has ended", unused)
	case sandbox.Conflict:
		if s.fenced != nil { // the end has waited for this
			return s.end(c)
		}
		return s.fence(c, m.err)
	default:
		return s.restless(c, m.err)
	}
	if s.ending != nil || s.fenced != nil {
		return s.end(c)
	}
	s.become(c, s.now.sleeps(i.is, message))
	s.watch(c)
	if len(s.jobs)+len(s.waiting)+len(s.wanting) > 0 { // somebody has come meanwhile
		return s.wake(c)
	}
	return nil
}

// restless brings a runtime up again whose sandbox could not be made to rest, and leaves it alone for a while.
func (s *steward) restless(c *kit.Context[stewardMsg], why error) error {
	i := &s.idle
	s.log.Warn("a sandbox cannot rest", "how", i.is, "err", why)
	if sandbox.CodeOf(why) == sandbox.Unsupported {
		if i.is == Paused {
			i.after.PauseAfter = 0
		} else {
			i.after.StopAfter = 0
		}
	}
	if s.ending != nil || s.fenced != nil {
		return s.end(c)
	}
	s.become(c, s.now.move(sandbox.StatusStopped, fmt.Sprintf("the sandbox could not be %s: %v", i.is, why)))
	return s.wake(c)
}

// stir brings the runtime up if it rests: somebody wants to use it.
func (s *steward) stir(c *kit.Context[stewardMsg]) error {
	if s.idle.phase != asleep || s.ending != nil || s.fenced != nil {
		return nil
	}
	return s.wake(c)
}

func (s *steward) wake(c *kit.Context[stewardMsg]) error {
	if s.idle.stop != nil {
		s.idle.stop()
	}
	s.idle.phase, s.idle.is, s.idle.place, s.idle.stop, s.idle.last = awake, "", nil, nil, time.Now()
	return s.spawn(c)
}

// restingGone hears that the runtime has let go of a sandbox that is to rest.
func (s *steward) restingGone(c *kit.Context[stewardMsg]) error {
	if s.ending != nil || s.fenced != nil {
		s.idle.phase = awake
		return s.end(c)
	}
	s.lull(c, s.idle.is)
	return nil
}

// rouse lets a paused sandbox go on that is to be left: nobody else may come who does, and what is frozen does not see that
// nobody wants it any more.
func (s *steward) rouse(ctx context.Context) stewardMsg {
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	there, err := s.order.Backend.Attach(ctx, s.order.Spec.ID, s.lease.Epoch())
	if err == nil {
		err = there.Close()
	}
	return awakened{err}
}

func (s *steward) awakened(c *kit.Context[stewardMsg], m awakened) error {
	if m.err != nil && sandbox.CodeOf(m.err) != sandbox.NotFound {
		s.log.Warn("a paused sandbox is left paused", "err", m.err)
	}
	s.idle.phase = awake
	return s.end(c)
}

// enough ends a use, also one that has not begun.
func (s *steward) enough(c *kit.Context[stewardMsg], m enough) {
	m.use.over = true
	delete(s.idle.users, m.use)
	s.used(c)
}

// begin notes a use.
func (i *idle) begin(u *use) {
	if u.over {
		return
	}
	if i.users == nil {
		i.users = map[*use]struct{}{}
	}
	i.users[u] = struct{}{}
}
