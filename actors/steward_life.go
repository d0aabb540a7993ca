package actors

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Started begins the activation: nothing is known before the lease is held.
func (s *steward) Started(c *kit.Context[stewardMsg]) error {
	s.now.Status = sandbox.StatusStopped
	s.count(s.counts())
	s.env = map[string]string{}
	spec := s.order.Spec
	s.secrets = slices.Concat(secretsOf(spec.Env), secretsOf(spec.Setup.Env), []string{spec.Setup.GitToken})
	s.mask = newMasker(s.secrets)
	s.opening = true
	s.birth.begin(s.cfg.Tracer, s.order.Span)
	s.order.Span = nil // the next start is another's
	ctx := s.birth.context(c.Context())
	c.Task(func(context.Context) stewardMsg {
		ctx, end := trace.Step(ctx, sandbox.PhaseLease)
		m := s.activate(ctx)
		end(m.err)
		return m
	})
	return nil
}

// Strategy implements kit.Supervisor.
func (s *steward) Strategy() kit.Strategy { return s.cfg.Restart }

// activate takes the lease and learns what earlier activations have left.
func (s *steward) activate(ctx context.Context) activated {
	id, store := s.order.Spec.ID, s.cfg.Store
	k, err := recall(ctx, store, id)
	if err == nil {
		err = k.fits(s.order)
	}
	if err != nil {
		return activated{err: err}
	}
	lease, err := store.Acquire(ctx, id, s.cfg.Owner, s.cfg.TTL)
	if err != nil {
		return activated{err: err}
	}
	k, err = recall(ctx, store, id) // again: until now somebody else may have been adding to it
	var used time.Time
	if err == nil && k.exists {
		used, err = store.LastActive(ctx, id)
	}
	if err != nil {
		_ = lease.Release(ctx)
	}
	return activated{lease, k, used, err}
}

func (s *steward) activated(c *kit.Context[stewardMsg], m activated) error {
	if m.err != nil {
		return m.err
	}
	s.opening = false
	if s.lease == nil {
		s.lease = m.lease
		s.now.Epoch = s.lease.Epoch()
		c.After(s.cfg.TTL/3, renewDue{})
	}
	s.known = m.known
	s.order = s.known.complete(s.order)
	s.idle.after, s.idle.last = s.cfg.Resting(s.order.Spec), later(s.idle.last, m.used)
	var orphans []*job
	for _, r := range s.known.unsettled {
		j := &job{work: work{id: r.ActionID, orphan: true, recorded: true, begun: true}, body: r.Body, watchers: &audience{}}
		if a, err := wire.ParseAction(r.Body); err == nil {
			j.action.Timeout = a.Timeout
		}
		orphans = append(orphans, j)
	}
	for _, j := range s.jobs { // asked for while we were finding out
		if o := jobNamed(orphans, j.id); o != nil {
			for _, r := range j.asked {
				s.adopt(o, j, r)
			}
			continue
		}
		orphans = append(orphans, j)
	}
	s.jobs = orphans
	if !s.known.exists {
		s.record(c, journal.Record{Type: journal.TypeSpec, Body: s.known.spec(s.order)})
	}
	if s.ending != nil || s.fenced != nil {
		return s.end(c)
	}
	return s.spawn(c)
}

func jobNamed(jobs []*job, id string) *job {
	for _, j := range jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}

// adopt makes those who ask for j wait for o, which is the same action, asked for in an earlier activation.
func (s *steward) adopt(o, j *job, r kit.Reply[sandbox.Observation]) {
	s.join(o, do{Reply: r, action: j.action})
	o.watchers.taps = append(o.watchers.taps, j.watchers.taps...)
}

// spawn starts the runtime. What happens next is told by Child.
func (s *steward) spawn(c *kit.Context[stewardMsg]) error {
	self, cfg, order := c.Self(), s.cfg, s.order
	ref, err := kit.SpawnChild(c, "runtime", kit.Transient, func() kit.Actor[runtimeMsg] {
		return &runtime{cfg: cfg, id: order.Spec.ID, backend: order.Backend, steward: self}
	})
	s.runtime = ref
	return err
}

// Child hears what becomes of the runtime.
func (s *steward) Child(c *kit.Context[stewardMsg], e kit.ChildEvent) error {
	err := s.child(c, e)
	s.count(s.counts())
	return err
}

func (s *steward) child(c *kit.Context[stewardMsg], e kit.ChildEvent) error {
	s.sandbox, s.flying = nil, false
	s.gen++
	switch e.What {
	case kit.Up:
		spec := s.order.Spec
		spec.Epoch = s.lease.Epoch()
		s.birth.begin(s.cfg.Tracer, nil)
		s.now.Phases = nil
		s.runtime.Tell(open{birth: s.birth, gen: s.gen, spec: spec, env: maps.Clone(s.env), building: s.now.Status == sandbox.StatusStopped, setUp: s.known.setUp})
	case kit.Died:
		s.birth.end(e.Err)
		s.record(c, journal.Record{Type: journal.TypeRestart, Body: restartBody(e)})
		s.become(c, s.now.restarting(e.Err, e.Attempt, e.Of, e.Next))
	case kit.Ended:
		s.birth.end(e.Err)
		s.runtime = kit.Ref[runtimeMsg]{}
		if s.idle.phase == parting {
			return s.restingGone(c)
		}
		if s.ending != nil || s.fenced != nil {
			return s.end(c)
		}
		s.become(c, s.now.spent(e.Err))
		s.become(c, s.now.move(sandbox.StatusStopped, s.now.Message))
		s.drop(s.down())
		s.answerWaiting()
	}
	return nil
}

// become follows an arrow, and makes it known.
func (s *steward) become(c *kit.Context[stewardMsg], next State) {
	if !s.now.may(next.Status) {
		s.log.Error("the diagram has no such arrow", "from", s.now.Status, "to", next.Status)
	}
	next.Message = s.mask.text(next.Message)
	s.now = next
	s.tell(c, Change{ID: s.order.Spec.ID, Time: time.Now(), State: s.state()})
}

func (s *steward) moved(c *kit.Context[stewardMsg], m moved) {
	if m.status == sandbox.StatusRuntimeStarted {
		s.now.Unenforced = m.unenforced
		s.known.setUp = !m.cold
	}
	s.become(c, s.now.move(m.status, ""))
}

func (s *steward) prepared(c *kit.Context[stewardMsg], m prepared) {
	s.sandbox = m.sandbox
	s.known.setUp = true
	s.now.Phases = m.phases
	s.cfg.Figures.started(s.order.Backend.Name(), m.phases)
	s.birth.end(nil)
	s.become(c, s.now.move(sandbox.StatusReady, ""))
	s.idle.came()
	s.answerWaiting()
	s.next(c)
	s.watch(c)
}

func (s *steward) reopen(c *kit.Context[stewardMsg], m reopen) error {
	switch {
	case s.ending != nil || s.fenced != nil:
		m.Err(s.down())
		return nil
	case s.up(): // or on its way
		m.OK(struct{}{})
		return nil
	}
	m.OK(struct{}{})
	s.opening, s.now.Cause = true, nil
	lease, id := s.lease, s.order.Spec.ID
	c.Task(func(ctx context.Context) stewardMsg { // what was in flight when it stopped has to be settled
		k, err := recall(ctx, s.cfg.Store, id)
		return activated{lease: lease, known: k, err: err}
	})
	return nil
}

// renew keeps the lease.
func (s *steward) renew(c *kit.Context[stewardMsg]) {
	if s.fenced != nil {
		return
	}
	lease := s.lease
	c.Task(func(ctx context.Context) stewardMsg {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.TTL)
		defer cancel()
		return renewed{lease.Renew(ctx)}
	})
}

// renewed fences if somebody else has the lease. One that merely could not be renewed, because the disk is slow, say, is
// asked for again: nothing harmful can be done without it, as the journal and the sandbox refuse an epoch that is over.
func (s *steward) renewed(c *kit.Context[stewardMsg], m renewed) error {
	next := s.cfg.TTL / 3
	switch sandbox.CodeOf(m.err) {
	case "":
	case sandbox.Conflict, sandbox.NotFound:
		return s.fence(c, m.err)
	default:
		s.log.Warn("the lease could not be renewed", "err", m.err)
		next /= 4
	}
	c.After(next, renewDue{})
	return nil
}

// fence stops everything at once: another controller may be driving the runtime.
func (s *steward) fence(c *kit.Context[stewardMsg], why error) error {
	if s.fenced != nil {
		return nil
	}
	s.fenced = &sandbox.Error{Code: sandbox.Conflict, Op: "the lease is lost", ID: s.order.Spec.ID, Err: why}
	s.log.Warn("fenced", "err", why)
	s.outbox, s.sandbox = nil, nil
	s.now.Cause = s.fenced
	s.drop(s.fenced)
	s.refuseOwed(s.fenced)
	s.answerWaiting()
	c.StopChild("runtime")
	return s.end(c)
}
