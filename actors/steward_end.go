package actors

import (
	"context"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// ending is the way out of a steward, step by step: the runtime ends, the sandbox is ended too (if that is wanted), the
// status is put on record, the lease is given back.
type ending struct {
	asked    []kit.Reply[struct{}]
	kill     bool
	cut      []string // actions that the end of the sandbox cuts off
	rousing  bool
	removing bool
	removed  bool
	said     bool
	leaving  bool
	err      error
}

func (e *ending) answer(err error) {
	for _, r := range e.asked {
		if err != nil {
			r.Err(err)
		} else {
			r.OK(struct{}{})
		}
	}
}

func (s *steward) leave(c *kit.Context[stewardMsg], m leave) error {
	if s.ending != nil {
		s.ending.asked = append(s.ending.asked, m.Reply)
		s.ending.kill = s.ending.kill || m.kill && !s.ending.said
		return nil
	}
	s.ending = &ending{asked: []kit.Reply[struct{}]{m.Reply}, kill: m.kill}
	s.sandbox = nil
	for _, j := range s.jobs {
		if j.recorded && j.begun && j.isAction() {
			s.ending.cut = append(s.ending.cut, j.id)
		}
	}
	s.drop(s.down())
	s.answerWaiting()
	c.StopChild("runtime")
	if s.opening {
		return nil // activated goes on
	}
	return s.end(c)
}

// end goes on with the ending as far as it can.
func (s *steward) end(c *kit.Context[stewardMsg]) error {
	if !s.runtime.Zero() || s.idle.phase == lulling {
		return nil // Child goes on, or rested
	}
	if s.fenced != nil {
		return s.fenced
	}
	e := s.ending
	switch {
	case !e.kill && s.idle.phase == asleep && s.idle.is == Paused:
		if !e.rousing {
			e.rousing = true
			c.Task(s.rouse)
		}
	case e.kill && !e.removed:
		if !e.removing {
			e.removing = true
			c.Task(s.remove)
		}
	case !e.said:
		e.said = true
		message := "the sandbox is left running"
		switch {
		case !e.kill && s.idle.phase == asleep:
			message = "the sandbox is left stopped"
		case e.err != nil:
			message = "the sandbox could not be ended: " + s.mask.text(e.err.Error())
		case e.kill:
			message = "the sandbox was ended"
			s.cutOff(c, e)
		}
		s.become(c, s.now.move(sandbox.StatusStopped, message))
		return s.end(c)
	case s.recording || len(s.outbox) > 0: // recorded goes on
	case !e.leaving:
		e.leaving = true
		lease := s.lease
		c.Task(func(ctx context.Context) stewardMsg { return released{lease.Release(ctx)} })
	}
	return nil
}

// cutOff puts on record how the actions ended that were cut off by the end of the sandbox.
func (s *steward) cutOff(c *kit.Context[stewardMsg], e *ending) {
	if e.err != nil {
		return // it may still be running
	}
	body := wire.AppendObservation(nil, cutOff("The sandbox was ended while it may have been performing this action."))
	for _, id := range e.cut {
		s.record(c, journal.Record{Type: journal.TypeObservation, ActionID: id, Body: body})
	}
}

// remove ends the sandbox, whether or not its server answers.
func (s *steward) remove(ctx context.Context) stewardMsg {
	return removed{s.order.Backend.Remove(ctx, s.order.Spec.ID, s.lease.Epoch(), s.cfg.Grace)}
}

func (s *steward) released(m released) error {
	e := s.ending
	if e.err == nil && m.err != nil {
		s.log.Warn("the lease could not be released", "err", m.err)
	}
	e.answer(e.err)
	return kit.ErrNormal
}
