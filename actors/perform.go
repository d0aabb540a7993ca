package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/transport"
)

// work is one thing for a runtime to do: an action, variables to add to the shell, or something to do while no action runs.
type work struct {
	id     string
	action sandbox.Action
	vars   map[string]string
	alone  func(ctx context.Context, s Sandbox) error

	named    bool // the id may have been used before
	orphan   bool // it is left from an activation that died; only its end is wanted
	recorded bool // the journal has it
	begun    bool // it may have begun, so the sandbox must be asked what became of it
	lost     bool // it may have begun in a sandbox that is gone with all it knew
	overdue  bool // the sandbox did not come to its end in its time

	mask masker
	out  sandbox.Output
	span *trace.Active // of who asks for it; nil if nothing is traced
}

// A performer does the work of one task.
type performer struct {
	store   Store
	id      sandbox.ID
	epoch   uint64
	sandbox Sandbox
	steward kit.Ref[stewardMsg]
	gen     int
	log     *slog.Logger
}

// saveTimeout bounds the writing of an observation after everything else has been given up.
const saveTimeout = 2 * time.Second

// perform does w and tells the steward how it ended. An error is a failure of the sandbox: w is not done with.
func (p performer) perform(ctx context.Context, w work) error {
	var seen sandbox.Observation
	var err error
	span := w.span.Start(spanPerform)
	ctx = trace.With(ctx, span)
	switch {
	case w.alone != nil:
		err = p.doAlone(ctx, w)
	case w.vars != nil:
		err = furnisher{sandbox: p.sandbox}.export(ctx, w.vars)
	case w.lost, w.begun:
		seen, err = p.resume(ctx, w)
	default:
		seen, err = p.begin(ctx, w)
	}
	if span != nil {
		p.log.DebugContext(ctx, "action performed", "runtime", p.id, "action", w.id, "err", err)
		span.Done(err) // before its asker hears of it, whose own span then ends
	}
	if ctx.Err() != nil && sandbox.CodeOf(err) == sandbox.Canceled {
		return nil // the runtime is ending, and the next one goes on with w
	}
	switch code := sandbox.CodeOf(err); code {
	case sandbox.Unavailable, sandbox.Lost:
		p.steward.Tell(setback{p.gen, w.id, code == sandbox.Lost || w.begun || w.alone != nil, w.overdue || errors.Is(err, transport.ErrOverdue)})
		return p.why(ctx, err)
	case sandbox.Conflict:
		if fenced := p.sandbox.Renew(ctx); sandbox.CodeOf(fenced) == sandbox.Conflict {
			p.steward.Tell(setback{p.gen, w.id, w.begun, w.overdue})
			return fenced
		}
	}
	p.steward.Tell(finished{p.gen, w.id, seen, err})
	return nil
}

// whyTimeout is how long the end of a sandbox may take to be known after its connections have broken.
const whyTimeout = 250 * time.Millisecond

// why is what stands behind a lost connection: the end of the sandbox, if it has ended.
func (p performer) why(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, whyTimeout)
	defer cancel()
	if exit, e := p.sandbox.Wait(ctx); e == nil {
		return unavailable(&ExitError{exit})
	}
	return err
}

// begin does an action for the first time, unless one under its id has been done.
func (p performer) begin(ctx context.Context, w work) (sandbox.Observation, error) {
	if w.recorded {
		return p.send(ctx, w)
	}
	body := w.mask.event(wire.AppendAction(nil, w.action))
	if !wire.Runnable(w.action.Kind()) {
		err := p.record(ctx, journal.Record{Type: journal.TypeNote, ActionID: w.id, Body: body})
		return sandbox.Observation{Result: sandbox.NullResult{}}, err
	}
	if w.named {
		a, seen, done, err := p.recall(ctx, w)
		switch {
		case err != nil || done:
			return seen, err
		case a: // it was refused, or its asker let go of it
			return p.settle(ctx, w)
		}
	}
	if err := p.record(ctx, journal.Record{Type: journal.TypeAction, ActionID: w.id, Body: body}); err != nil {
		return sandbox.Observation{}, err
	}
	return p.send(ctx, w)
}

// recall looks an action up: whether it is on record, and if it is done, what was seen. Code: Conflict, if the record is
// of another action.
func (p performer) recall(ctx context.Context, w work) (recorded bool, seen sandbox.Observation, done bool, err error) {
	a, o, err := p.store.FindAction(ctx, p.id, w.id)
	switch {
	case err != nil:
		return false, seen, false, stored(err)
	case a != nil && w.named && !bytes.Equal(a.Body, w.mask.event(wire.AppendAction(nil, w.action))):
		return true, seen, false, failure(sandbox.Conflict, "runtime.Do", p.id, fmt.Sprintf("another action has the id %q", w.id))
	case o != nil:
		seen, err = wire.ParseObservation(o.Body)
		return true, seen, true, err
	}
	return a != nil, seen, false, nil
}

// resume goes on with an action that was handed to a runtime which has died since. How far that came, the journal knows
// best: it may have looked the action up and found it done, or not even have put it on record.
func (p performer) resume(ctx context.Context, w work) (sandbox.Observation, error) {
	recorded, seen, done, err := p.recall(ctx, w)
	switch {
	case err != nil || done:
		return seen, err
	case !recorded: // so it was not sent
		w.recorded = false
		return p.begin(ctx, w)
	case w.lost:
		return p.save(ctx, w, cutOff("The sandbox was lost while it may have been performing this action."))
	}
	return p.settle(ctx, w)
}

// settle learns what became of an action that may have begun.
func (p performer) settle(ctx context.Context, w work) (sandbox.Observation, error) {
	if w.overdue {
		return p.lastSettle(ctx, w)
	}
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if limit := w.action.Timeout; limit > 0 { // what is joined may just have begun
		bounded, cancel = context.WithTimeout(ctx, limit+settleMargin)
	}
	defer cancel()
	seen, err := p.sandbox.Settle(bounded, w.id, w.out)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return seen, &sandbox.Error{Code: sandbox.Lost, Op: "settle", ID: p.id, Err: transport.ErrOverdue}
	}
	return p.settled(ctx, w, seen, err)
}

// settleMargin is what an action that is joined may take beyond its hard timeout.
const settleMargin = time.Minute

// lastWord is how long a sandbox that has let an action's time pass may take to tell what became of it.
const lastWord = 15 * time.Second

// lastSettle is for an action whose time is over, in a sandbox that lives. If it still has not got the answer, its
// processes are ended by force: then the action has no effect any more, whatever it was doing, and that can be said.
func (p performer) lastSettle(ctx context.Context, w work) (sandbox.Observation, error) {
	bounded, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	seen, err := p.sandbox.Settle(bounded, w.id, w.out)
	if err == nil || bounded.Err() == nil || ctx.Err() != nil {
		return p.settled(ctx, w, seen, err)
	}
	if err := p.sandbox.Halt(ctx); err != nil {
		return seen, &sandbox.Error{Code: sandbox.Lost, Op: "settle", ID: p.id, Err: fmt.Errorf("%w, and cannot be ended: %w", transport.ErrOverdue, err)}
	}
	return p.save(ctx, w, cutOff("The sandbox did not come to the end of this action in its time. It and everything in it was ended by force."))
}

// settled does what follows from the sandbox's answer.
func (p performer) settled(ctx context.Context, w work, seen sandbox.Observation, err error) (sandbox.Observation, error) {
	switch sandbox.CodeOf(err) {
	case "":
		return p.save(ctx, w, seen)
	case sandbox.NotFound:
		if w.orphan {
			return p.save(ctx, w, cutOff("The controller died before this action reached the sandbox."))
		}
		return p.send(ctx, w)
	case sandbox.Unavailable: // of the question; the action may have begun
		return sandbox.Observation{}, &sandbox.Error{Code: sandbox.Lost, Op: "settle", ID: p.id, Err: err}
	}
	return sandbox.Observation{}, err
}

// send has the action performed. That it was refused is on record too, unless the sandbox had no room: then it may be
// asked for again under its id.
func (p performer) send(ctx context.Context, w work) (sandbox.Observation, error) {
	seen, err := p.sandbox.Do(ctx, w.action, w.out)
	switch code := sandbox.CodeOf(err); code {
	case "":
		return p.save(ctx, w, seen)
	case sandbox.Unavailable, sandbox.Lost, sandbox.Canceled, sandbox.Exhausted:
	default:
		if code == sandbox.Conflict && sandbox.CodeOf(p.sandbox.Renew(ctx)) == sandbox.Conflict {
			break // we are fenced; it was not refused for its own sake
		}
		if _, e := p.save(ctx, w, sandbox.Failed(string(code), err.Error())); e != nil {
			return seen, e
		}
	}
	return seen, err
}

// save puts the observation on record. It does so even if the runtime is ending, since it is the end of the action.
func (p performer) save(ctx context.Context, w work, seen sandbox.Observation) (sandbox.Observation, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	body := w.mask.event(wire.AppendObservation(nil, seen))
	return seen, p.record(ctx, journal.Record{Type: journal.TypeObservation, ActionID: w.id, Body: body})
}

// record puts a record of the action where no death of a process can reach it.
func (p performer) record(ctx context.Context, r journal.Record) error {
	r.Time = time.Now()
	span := trace.From(ctx).Start(spanLog)
	err := p.store.Log(ctx, p.id, p.epoch, r)
	span.Done(err)
	if sandbox.CodeOf(err) == sandbox.Conflict {
		p.steward.Tell(refused{err})
	}
	return stored(err)
}

// stored makes the error of a journal that cannot be reached look unlike that of a sandbox that cannot.
func stored(err error) error {
	switch sandbox.CodeOf(err) {
	case sandbox.Unavailable, sandbox.Lost:
		return &sandbox.Error{Code: sandbox.Internal, Op: "journal", Err: err}
	}
	return err
}

// cutOff is the observation of an action whose end nobody can tell.
func cutOff(why string) sandbox.Observation {
	return sandbox.Failed(sandbox.ErrorInterrupted, why)
}
