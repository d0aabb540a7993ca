// Package kit is the thin typed layer between our actors and the actor library, protoactor-go. It alone (with the
// cluster, later) imports that library, so the library's quirks are met in one place.
//
// What the library gives: names and addresses, one message at a time, the tree of parents and children and the word that
// a child has gone. What is ours, because the library's own has traps that no setting takes away, or costs too much:
//
//   - Supervision. The library restarts one child at a time, with what it started still running while it waits, and
//     with the asker left unanswered. Here an actor that fails first hears Stopped, where it answers whoever waits; then
//     its children end, last one first, then its tasks; only then does its supervisor hear of the death. A Strategy, a
//     pure function, says what follows. Messages that come meanwhile are kept, in order, for the next incarnation.
//   - Ask, which has a context and no timer, and ends when the actor has gone.
//   - Tasks: an actor's Receive never waits; what waits runs beside it and its result comes back as a message, which
//     nobody sees if the actor has been restarted since. A panic in a task is a failure of its actor.
//   - The mailbox, which spares most messages a switch of goroutines.
//   - An end that waits for itself: System.Stop returns when the last actor has gone.
//
// Never used are the library's futures, receive timeouts, stash, and bounded or priority mailboxes.
//
// A state of one actor's life, as its cell sees it:
//
//	      begin                fails, ends, or is told to pause or end
//	down ───────────────▶ up ───────────────────────────────────────────▶ closing
//	 ▲  │                                                                    │
//	 │  └── told to end, or nobody starts it again ──▶ over                  │ children gone, tasks ended
//	 └───────────────────────────────────────────────────────────────────────┘
package kit

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/sandtree/sandtree/sandbox"
)

// An Actor has state that only its own methods touch, one call at a time, so it needs no lock. Receive never waits.
// A returned error or a panic is a failure: the supervisor decides what it means. ErrNormal is a clean end.
type Actor[M any] interface {
	Receive(c *Context[M], m M) error
}

// A Starter hears of its own start, before the first message. An error is a failure, as from Receive.
type Starter[M any] interface {
	Started(c *Context[M]) error
}

// A Stopper hears of its own end, at once: its children and tasks still run, though the context has ended. It answers
// whoever waits. err is why; nil if it ended cleanly or was told to. It can start nothing any more.
type Stopper[M any] interface {
	Stopped(c *Context[M], err error)
}

// A Supervisor has a strategy of its own for its children. Without one an actor fails with the first child that fails.
type Supervisor interface {
	Strategy() Strategy
}

// A Watcher hears what becomes of its children. An error is a failure, as from Receive.
type Watcher[M any] interface {
	Child(c *Context[M], e ChildEvent) error
}

// A Waiter is an actor whose Receive may wait, because that is all it is for, as calling a function of a stranger's. Its
// messages are handled in a goroutine of their own, and never in the sender's.
type Waiter interface {
	Waits()
}

// ErrNormal is what an actor returns that has done its work.
var ErrNormal = errors.New("normal end")

// Panic is the failure of an actor or a task that panicked.
type Panic struct {
	Value any
	Stack []byte // where, as runtime/debug.Stack writes it
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// recovered, deferred, turns a panic into an error.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &sandbox.Error{Code: sandbox.Internal, Op: "actor", Err: &Panic{Value: v, Stack: debug.Stack()}}
	}
}

// ErrGone is in the error of a question whose actor ended before it answered: the message was not taken.
var ErrGone = errors.New("the actor has ended")

// gone is the answer to those who ask an actor that has ended. If what it ended of concerns the asker too, its code is
// kept.
func gone(path string, why error) error {
	e := &sandbox.Error{Code: sandbox.Unavailable, Op: path, Err: ErrGone}
	if why == nil {
		return e
	}
	switch c := sandbox.CodeOf(why); c {
	case sandbox.Invalid, sandbox.NotFound, sandbox.Conflict, sandbox.Denied, sandbox.Exhausted, sandbox.Unsupported:
		e.Code = c
	}
	e.Err = fmt.Errorf("%w: %w", ErrGone, why)
	return e
}

// canceled wraps the cause of a context's end.
func canceled(ctx context.Context, path string) error {
	return &sandbox.Error{Code: sandbox.Canceled, Op: path, Err: context.Cause(ctx)}
}
