package kit

import (
	"strconv"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// A Ref is where an actor can be reached, whatever incarnation lives there. The zero Ref reaches nobody.
type Ref[M any] struct{ link *link }

// link is what others hold of an actor.
type link struct {
	sys  *System
	name string
	path string // "/runtimes/abc": names from the root
	id   string // the name that the library knows: never used twice, so that no message finds the next of that name
	kind string // of the actor; see Figures
	pid  *actor.PID

	waiting func() int // messages in its mailbox

	halted atomic.Bool   // it has been told to end for good, and looks at this before each message
	done   chan struct{} // closed when it has
	err    error         // why; to be read after done
}

// letter carries a message. Being our own type it takes any M, and is told from the library's messages and from ours.
type letter[M any] struct {
	m    M
	gen  uint64 // of the incarnation that a result is for; 0 if it is for anyone
	task bool   // the end of a task
	err  error  // of a task that panicked
}

// undelivered is how a dead letter shows its message to those who do not know M.
func (l *letter[M]) undelivered() any { return l.m }

func (l *letter[M]) kind() string { return kindOf[M]() }

// undelivered is a dead letter to those who do not know M.
type undelivered interface {
	undelivered() any
	kind() string
}

// IgnoreDeadLetterLogging keeps the library from logging it: we tell of dead letters ourselves. (Its log throttle also
// leaves a goroutine behind for a second.)
func (*letter[M]) IgnoreDeadLetterLogging() {}

// Tell sends m and does not wait. It is false if the actor has gone; true does not promise that m is handled. Safe for
// concurrent use; messages from one sender keep their order. The sender must not change m any more.
func (r Ref[M]) Tell(m M) bool {
	if r.link == nil {
		return false
	}
	select {
	case <-r.link.done:
		r.link.sys.dead(r.link, m)
		return false
	default:
	}
	r.link.post(&letter[M]{m: m})
	return true
}

// Stop tells the actor to end for good, before it looks at any more messages. Its supervisor takes that as it is, and
// starts nothing. It does not wait: see Done.
func (r Ref[M]) Stop() {
	if r.link != nil {
		r.link.halt()
	}
}

// Done is closed when the actor has ended for good, and all it had started.
func (r Ref[M]) Done() <-chan struct{} { return r.link.done }

// Err is why the actor ended; nil if it did so cleanly or was told to. To be called after Done.
func (r Ref[M]) Err() error { return r.link.err }

// Path is the actor's name, from the root.
func (r Ref[M]) Path() string { return r.link.path }

// Zero says whether r reaches nobody.
func (r Ref[M]) Zero() bool { return r.link == nil }

func (l *link) post(m any) { l.sys.lib.Root.Send(l.pid, m) }

func (l *link) halt() {
	if l.halted.CompareAndSwap(false, true) {
		l.post(wake{})
	}
}

// What cells tell each other. They need no order with letters, and may come late: each is checked against the state.
type (
	wake  struct{} // look at link.halted
	pause struct{} // supervisor to child: end, but stay
	begin struct{} // supervisor to child: start again
	up    struct{ child *link }
	fell  struct { // child to supervisor: I am down, and nothing of me runs
		child *link
		why   error
	}
	due     struct{ p *plan } // timer: the plan may go on
	overdue struct{ gen uint64 }
)

func (wake) IgnoreDeadLetterLogging()    {}
func (pause) IgnoreDeadLetterLogging()   {}
func (begin) IgnoreDeadLetterLogging()   {}
func (up) IgnoreDeadLetterLogging()      {}
func (fell) IgnoreDeadLetterLogging()    {}
func (due) IgnoreDeadLetterLogging()     {}
func (overdue) IgnoreDeadLetterLogging() {}

// newLink makes the link of an actor that is about to be spawned. Its PID is made here, not taken from the library,
// since the actor runs before the library has returned it.
func newLink(s *System, parent *link, name string) *link {
	l := &link{sys: s, name: name, done: make(chan struct{})}
	l.id = name + "+" + strconv.FormatUint(s.spawned.Add(1), 36)
	id := l.id
	if parent != nil {
		l.path = parent.path + "/" + name
		id = parent.pid.Id + "/" + id
	}
	l.pid = actor.NewPID(s.lib.Address(), id)
	return l
}
