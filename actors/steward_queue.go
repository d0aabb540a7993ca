package actors

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// job is an action, or variables to add, from when it is asked for until it is answered.
type job struct {
	work
	watchers *audience
	asked    []kit.Reply[sandbox.Observation]
	added    kit.Reply[struct{}] // of variables
	body     []byte              // of an action, to tell it from another under the same id
	wait     *trace.Active       // until its turn; nil if it is not traced
	asking   time.Time           // since when; zero once its turn has come, and of what nobody here has asked for
}

func (j *job) answer(seen sandbox.Observation, err error) {
	j.wait.Done(err)
	for _, r := range j.asked {
		if err != nil {
			r.Err(err)
		} else {
			r.OK(seen)
		}
	}
	if err != nil {
		j.added.Err(err)
	} else {
		j.added.OK(struct{}{})
	}
}

func (s *steward) do(c *kit.Context[stewardMsg], m do) {
	if !s.up() {
		m.Err(s.down())
		return
	}
	if i := slices.IndexFunc(s.jobs, func(j *job) bool { return j.id == m.action.ID }); i >= 0 {
		s.join(s.jobs[i], m)
		return
	}
	if s.full() {
		m.Err(s.exhausted())
		return
	}
	j := &job{work: work{id: m.action.ID, action: m.action, named: m.named}, watchers: &audience{}}
	j.span, j.wait, j.asking = m.span, m.wait, m.at
	j.asked = append(j.asked, m.Reply)
	j.watchers.add(m.tap)
	s.jobs = append(s.jobs, j)
	s.next(c)
}

// join lets somebody who asks for an action again wait for it with the others.
func (s *steward) join(j *job, m do) {
	if !j.isAction() || !bytes.Equal(s.bodyOf(j), s.mask.event(wire.AppendAction(nil, m.action))) {
		m.Err(failure(sandbox.Conflict, "runtime.Do", s.order.Spec.ID, fmt.Sprintf("another action has the id %q", j.id)))
		return
	}
	m.wait.End() // the rest is told in the trace of who came first
	j.asked = append(j.asked, m.Reply)
	j.watchers.add(m.tap)
}

// bodyOf is the event of a job as it is stored.
func (s *steward) bodyOf(j *job) []byte {
	if j.body == nil {
		j.body = s.mask.event(wire.AppendAction(nil, j.action))
	}
	return j.body
}

// full says whether as many wait as may. What is left from an earlier activation and nobody waits for does not count.
func (s *steward) full() bool {
	n := 0
	for i, j := range s.jobs {
		if !j.orphan && !(i == 0 && s.flying) {
			n++
		}
	}
	return n >= s.cfg.Queue
}

func (s *steward) exhausted() error {
	return failure(sandbox.Exhausted, "runtime", s.order.Spec.ID, fmt.Sprintf("%d actions are waiting", s.cfg.Queue))
}

func (s *steward) addEnv(c *kit.Context[stewardMsg], m addEnv) {
	switch {
	case !s.up():
		m.Err(s.down())
	case s.full():
		m.Err(s.exhausted())
	default:
		s.secrets = append(s.secrets, secretsOf(m.vars)...)
		s.mask = newMasker(s.secrets)
		s.jobs = append(s.jobs, &job{work: work{id: sandbox.NewActionID(), vars: m.vars}, watchers: &audience{}, added: m.Reply})
		s.next(c)
	}
}

// next hands the runtime the first job, if it is free. What has been said so far is on record first, so that events are
// in order.
func (s *steward) next(c *kit.Context[stewardMsg]) {
	if s.sandbox == nil || s.flying || len(s.jobs) == 0 || s.recording || len(s.outbox) > 0 || s.ending != nil || s.fenced != nil {
		return
	}
	j := s.jobs[0]
	s.flying = true
	s.taken(j)
	j.mask, j.out = s.mask, j.watchers.output
	s.runtime.Tell(execute{s.gen, j.work})
	// Until the runtime says otherwise it may have begun; and it is on record.
	j.begun, j.recorded = true, true
}

func (s *steward) finished(c *kit.Context[stewardMsg], m finished) {
	if s.ending != nil && m.err == nil { // it came to its end after all, which is on record
		s.ending.cut = slices.DeleteFunc(s.ending.cut, func(id string) bool { return id == m.id })
	}
	if !s.flying || s.jobs[0].id != m.id || m.gen != s.gen {
		return
	}
	j := s.jobs[0]
	s.jobs, s.flying = s.jobs[1:], false
	if m.err == nil && j.vars != nil {
		maps.Copy(s.env, j.vars)
		s.record(c, journal.Record{Type: journal.TypeNote, Body: names(j.vars)})
	}
	j.answer(m.seen, m.err)
	s.next(c)
	s.used(c)
}

// setback hears that the action in flight did not come to its end. The runtime fails now, and the next one goes on with it.
func (s *steward) setback(m setback) {
	if s.flying && s.jobs[0].id == m.id && m.gen == s.gen {
		s.jobs[0].begun, s.jobs[0].overdue = m.begun, m.overdue
	}
}

// forgotten marks what may have begun in a sandbox that is gone. The new one cannot tell of it, and must not do it again.
func (s *steward) forgotten() {
	for _, j := range s.jobs {
		if j.begun && j.isAction() {
			j.lost = true
		}
	}
}

func (s *steward) interrupt(m interrupt) {
	i := 0
	if m.id != "" {
		i = slices.IndexFunc(s.jobs, func(j *job) bool { return j.id == m.id })
	}
	switch {
	case i < 0 || len(s.jobs) == 0 || m.id == "" && !s.flying:
		m.Err(failure(sandbox.NotFound, "runtime.Interrupt", s.order.Spec.ID, "no such action waits or runs"))
	case i == 0 && s.flying:
		s.runtime.Tell(signal{m.Reply, s.gen, s.jobs[0].id})
	case s.jobs[i].recorded: // it may have begun, and its end must be learnt
		m.Err(failure(sandbox.Unavailable, "runtime.Interrupt", s.order.Spec.ID, "the runtime is restarting"))
	default:
		j := s.jobs[i]
		s.jobs = slices.Delete(s.jobs, i, i+1)
		j.answer(sandbox.Observation{}, failure(sandbox.Canceled, "runtime.Do", s.order.Spec.ID, "it was interrupted before it began"))
		m.OK(struct{}{})
	}
}

// drop answers every job with why it will not be seen to its end. Those that may have begun stay on record as unsettled,
// for the next to drive the runtime.
func (s *steward) drop(err error) {
	for i, j := range s.jobs {
		e := err
		if i == 0 && j.recorded && j.begun {
			e = &sandbox.Error{Code: sandbox.Lost, Op: "runtime.Do", ID: s.order.Spec.ID, Err: err}
		}
		j.answer(sandbox.Observation{}, e)
	}
	s.jobs, s.flying = nil, false
}
