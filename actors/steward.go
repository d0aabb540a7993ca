package actors

import (
	"errors"
	"log/slog"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// A steward answers for one runtime at all times. It holds the lease, the state and the queue, hands the runtime below
// it one thing to do at a time, and sees to it that what is in flight when something dies is settled.

// Messages.
type (
	stewardMsg interface{ stewardMsg() } // sealed: those below and no other

	// Commands and queries, from Steward's methods.
	do struct {
		kit.Reply[sandbox.Observation]
		action sandbox.Action
		named  bool // the id is the caller's, so it may have been used before
		tap    *tap
		span   *trace.Active // of who asks; nil if nothing is traced
		wait   *trace.Active // until its turn
		at     time.Time     // when it was asked for
	}
	addEnv struct {
		kit.Reply[struct{}]
		vars map[string]string
	}
	interrupt struct {
		kit.Reply[struct{}]
		id string // "" is whatever runs
	}
	setEgress struct { // the sandbox has it already
		kit.Reply[struct{}]
		egress sandbox.Egress
	}
	report struct {
		kit.Reply[struct{}]
		status  sandbox.Status
		message string
	}
	note struct {
		kit.Reply[struct{}]
		typ     string
		bodies  [][]byte
		durable bool // answered when it is
	}
	state struct{ kit.Reply[State] }
	ready struct { // answered when the runtime is ready, or will not be
		kit.Reply[State]
		order Order // the zero Order is any
	}
	access struct { // the same, with the sandbox, which does not rest until the use is over
		kit.Reply[Sandbox]
		use *use
	}
	reopen struct{ kit.Reply[struct{}] }
	leave  struct {
		kit.Reply[struct{}]
		kill bool
	}

	// From the runtime. gen is what open said.
	moved struct {
		gen        int
		status     sandbox.Status
		cold       bool // StatusRuntimeStarted: the set-up is to be done
		unenforced []string
	}
	forgotten struct{ gen int } // the sandbox is new and knows nothing of earlier actions
	prepared  struct {          // the set-up is complete
		gen     int
		sandbox Sandbox
		phases  []sandbox.Phase
	}
	finished struct {
		gen  int
		id   string
		seen sandbox.Observation
		err  error
	}
	setback struct { // the sandbox is failing under the action
		gen   int
		id    string
		begun bool // it may have begun

		overdue bool // its time is over, and the sandbox lives
	}

	// Ends of tasks, and timers.
	activated struct {
		lease Lease
		known known
		used  time.Time // last, as far as it is known
		err   error
	}
	recorded struct{ err error }
	refused  struct{ err error } // the journal has another holder of the lease
	renewDue struct{}
	renewed  struct{ err error }
	removed  struct{ err error }
	released struct{ err error }
)

func (do) stewardMsg()        {}
func (addEnv) stewardMsg()    {}
func (interrupt) stewardMsg() {}
func (setEgress) stewardMsg() {}
func (report) stewardMsg()    {}
func (note) stewardMsg()      {}
func (state) stewardMsg()     {}
func (ready) stewardMsg()     {}
func (access) stewardMsg()    {}
func (reopen) stewardMsg()    {}
func (leave) stewardMsg()     {}
func (moved) stewardMsg()     {}
func (prepared) stewardMsg()  {}
func (finished) stewardMsg()  {}
func (setback) stewardMsg()   {}
func (activated) stewardMsg() {}
func (recorded) stewardMsg()  {}
func (refused) stewardMsg()   {}
func (forgotten) stewardMsg() {}
func (renewDue) stewardMsg()  {}
func (renewed) stewardMsg()   {}
func (removed) stewardMsg()   {}
func (released) stewardMsg()  {}

// Config is what all stewards of a system share.
type Config struct {
	Store    Store
	Owner    string        // names this process to others, in leases; unlike that of any other
	TTL      time.Duration // of a lease
	Queue    int           // actions that may wait at one runtime; more are Exhausted
	Restart  kit.Strategy  // for the runtime below a steward: whom it gives up on can be reopened
	Interval time.Duration // between signs of life of a sandbox
	Misses   int           // signs of life missed in a row that mean death
	Grace    time.Duration // for what runs in a sandbox that is ended
	Idle     sandbox.Idle  // when the sandbox of a runtime rests that nobody uses
	Notify   func(Change)  // hears of every change, in order; must not wait; may be nil
	Tracer   *trace.Tracer // nil traces nothing
	Figures  *Figures      // nil counts for nobody
	Log      *slog.Logger
}

// Order is what runtime is wanted.
type Order struct {
	Spec    sandbox.Spec
	Backend Backend
	Span    *trace.Active // of who wants it: what a start costs is told below it
}

// State. Only Receive and what it calls touch it.
type steward struct {
	cfg   Config
	order Order
	log   *slog.Logger

	now    State
	lease  Lease
	known  known
	fenced error // why nothing may be written any more

	opening bool                // activated is on its way
	runtime kit.Ref[runtimeMsg] // zero if there is none
	gen     int                 // of its incarnation, as we count
	sandbox Sandbox             // nil unless the runtime is ready
	idle    idle
	birth   birth

	env     map[string]string // that AddEnv has added
	secrets []string
	mask    masker

	jobs    []*job // jobs[0] is in flight if flying
	flying  bool
	waiting []ready
	wanting []access

	outbox    []journal.Record
	recording bool                  // a task is writing
	owed      []kit.Reply[struct{}] // answers for what is in the outbox, once it is on record
	writing   []kit.Reply[struct{}] // the same, for what the task writes
	ending    *ending

	counted counted
}

// Receive implements kit.Actor.
func (s *steward) Receive(c *kit.Context[stewardMsg], m stewardMsg) error {
	err := s.receive(c, m)
	s.count(s.counts())
	return err
}

func (s *steward) receive(c *kit.Context[stewardMsg], m stewardMsg) error {
	switch m := m.(type) {
	case do:
		s.do(c, m)
		return s.stir(c)
	case alone:
		s.alone(c, m)
		return s.stir(c)
	case addEnv:
		s.addEnv(c, m)
		return s.stir(c)
	case interrupt:
		s.interrupt(m)
	case setEgress:
		s.order.Spec.Egress = m.egress
		s.record(c, journal.Record{Type: journal.TypeSpec, Body: s.known.spec(s.order)})
		m.OK(struct{}{})
	case report:
		s.report(c, m)
	case note:
		s.note(c, m)
	case state:
		m.OK(s.state())
	case ready:
		if err := s.fits(m.order); err != nil {
			m.Err(err)
			return nil
		}
		s.waiting = append(s.waiting, m)
		s.answerWaiting()
		return s.stir(c)
	case access:
		s.wanting = append(s.wanting, m)
		s.answerWaiting()
		return s.stir(c)
	case reopen:
		return s.reopen(c, m)
	case leave:
		return s.leave(c, m)
	case moved:
		if m.gen == s.gen {
			s.moved(c, m)
		}
	case forgotten:
		s.forgotten()
	case prepared:
		if m.gen == s.gen {
			s.prepared(c, m)
		}
	case finished:
		s.finished(c, m)
	case setback:
		s.setback(m)
	case activated:
		return s.activated(c, m)
	case recorded:
		return s.recorded(c, m)
	case refused:
		return s.fence(c, m.err)
	case renewDue:
		s.renew(c)
	case renewed:
		return s.renewed(c, m)
	case removed:
		s.ending.removed, s.ending.err = true, m.err
		return s.end(c)
	case released:
		return s.released(m)
	case restDue:
		s.restDue(c)
	case rested:
		return s.rested(c, m)
	case enough:
		s.enough(c, m)
	case awakened:
		return s.awakened(c, m)
	}
	return nil
}

// state is now with what is counted only when asked.
func (s *steward) state() State {
	now := s.now
	now.Closing = s.ending != nil || s.fenced != nil
	if s.sandbox != nil {
		now.Breaker = s.sandbox.BreakerState()
	}
	now.Queued = len(s.jobs)
	if s.flying {
		now.Queued--
		now.Running = s.jobs[0].id
	}
	return now
}

// up says whether the runtime takes actions, now or when it is ready.
func (s *steward) up() bool {
	return s.ending == nil && s.fenced == nil && (s.opening || !s.runtime.Zero() || s.idle.phase != awake)
}

// down is why it does not.
func (s *steward) down() error {
	switch {
	case s.fenced != nil:
		return s.fenced
	case s.ending != nil:
		return &sandbox.Error{Code: sandbox.Unavailable, Op: "runtime", ID: s.order.Spec.ID, Err: errClosing}
	case s.now.Cause != nil:
		code := sandbox.CodeOf(s.now.Cause)
		if code == sandbox.Lost || code == sandbox.Canceled {
			code = sandbox.Unavailable // of what was asked before; this one has not been sent
		}
		return &sandbox.Error{Code: code, Op: "runtime has stopped", ID: s.order.Spec.ID, Err: s.now.Cause}
	}
	return failure(sandbox.Unavailable, "runtime", s.order.Spec.ID, "it has stopped")
}

var errClosing = errors.New("it is being closed")

// answerWaiting answers those who wait for the runtime, if there is an answer.
func (s *steward) answerWaiting() {
	switch {
	case s.sandbox != nil:
		for _, w := range s.waiting {
			w.OK(s.state())
		}
		for _, w := range s.wanting {
			s.idle.begin(w.use)
			w.OK(s.sandbox)
		}
	case !s.up():
		s.refuseWaiting(s.down())
	default:
		return
	}
	s.waiting, s.wanting = nil, nil
}

func (s *steward) refuseWaiting(err error) {
	for _, w := range s.waiting {
		w.Err(err)
	}
	for _, w := range s.wanting {
		w.Err(err)
	}
	s.waiting, s.wanting = nil, nil
}

// Stopped answers everybody who waits.
func (s *steward) Stopped(_ *kit.Context[stewardMsg], err error) {
	if err == nil {
		err = failure(sandbox.Unavailable, "runtime", s.order.Spec.ID, "its steward was stopped")
	}
	s.birth.end(err)
	s.drop(err)
	s.refuseOwed(err)
	s.refuseWaiting(err)
	if s.ending != nil {
		s.ending.answer(err)
	}
	s.count(counted{})
}
