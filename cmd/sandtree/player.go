package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/supervisor"
)

// A player performs actions in a runtime and tells of them. An interrupt from the keyboard goes to what the action runs;
// a second one quits.
type player struct {
	rt         *held
	tell       teller
	interrupts <-chan struct{}
	strict     bool // the first failure is the last

	// closed is called once the runtime is let go of: only then everything is in the journal for whoever opens it.
	closed func() error

	sum      summing
	restarts atomic.Int64
	pressed  time.Time // when the last interrupt came
}

var (
	errQuit error = cli.Status(128 + int(syscall.SIGINT))
	errPipe error = cli.Status(128 + int(syscall.SIGPIPE)) // nobody reads our output any more
)

// twice is how soon after another an interrupt means to quit, also if the first has ended its action.
const twice = time.Second

// status is for the runtime's System.
func (p *player) status(c supervisor.StatusChange) {
	if c.State.Recovering && !c.Reported {
		p.restarts.Add(1)
	}
	p.tell.status(c)
}

// perform does one action. The error is errQuit or errPipe if that is why the wait ended.
func (p *player) perform(ctx context.Context, e wire.Event, a sandbox.Action) (sandbox.Observation, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { p.interrupt(ctx, cancel, done) })
	p.tell.action(e)
	p.sum.Actions++
	began := time.Now()
	o, err := p.rt.Do(ctx, a, func(offset int64, b []byte) {
		if p.tell.output(offset, b) != nil {
			cancel(errPipe)
		}
	})
	close(done)
	wg.Wait()
	if why := context.Cause(ctx); errors.Is(why, errQuit) || errors.Is(why, errPipe) {
		return o, why
	}
	if err != nil {
		p.sum.Failed++
		p.tell.failed(e, err)
		return o, err
	}
	if _, ok := outcome(o); !ok {
		p.sum.Failed++
	}
	if o.Interrupted() {
		p.sum.Interrupted++
	}
	if p.tell.observation(e, o, time.Since(began)) != nil {
		return o, errPipe
	}
	return o, nil
}

// interrupt passes the first interrupt on to the action, and quits with the second.
func (p *player) interrupt(ctx context.Context, quit context.CancelCauseFunc, done <-chan struct{}) {
	for first := true; ; first = false {
		select {
		case <-done:
			return
		case <-p.interrupts:
		}
		now := time.Now()
		if !first || now.Sub(p.pressed) < twice {
			quit(errQuit)
			return
		}
		p.pressed = now
		_ = p.rt.Interrupt(ctx, "") // if there is nothing to interrupt, the action is about to end
	}
}

// play performs the actions of a trajectory in order. What was observed when it was recorded is passed over; what no
// sandbox performs is put on record. It ends early when the runtime has ended, and when strict at the first failure.
func (p *player) play(ctx context.Context, events []wire.Event) error {
	for _, e := range events {
		if !e.IsAction() {
			continue
		}
		a, err := actionOf(e)
		var o sandbox.Observation
		switch {
		case err != nil:
			p.sum.Actions++
			p.sum.Failed++
			p.tell.action(e)
			p.tell.failed(e, err)
		case !wire.Runnable(a.Kind()):
			p.tell.aside(e)
			_, err = p.rt.Do(ctx, a, nil)
		default:
			o, err = p.perform(ctx, e, a)
		}
		if fatal(ctx, err) {
			return err
		}
		if err != nil {
			p.sum.ExitCode = 1
		}
		if _, ok := outcome(o); p.strict && (err != nil || !ok) {
			p.sum.ExitCode = 1
			return nil
		}
	}
	return nil
}

// actionOf reads the action of an event. What only this program does not know is recorded like the rest that no sandbox
// performs.
func actionOf(e wire.Event) (sandbox.Action, error) {
	a, err := e.Action()
	if err != nil && !wire.Runnable(e.Kind()) {
		return sandbox.Action{Args: sandbox.OtherArgs{Type: e.Kind(), Raw: e.Get("args")}}, nil
	}
	return a, err
}

// fatal says whether after err no action can be performed any more.
func fatal(ctx context.Context, err error) bool {
	if errors.Is(err, errQuit) || errors.Is(err, errPipe) || ctx.Err() != nil {
		return true
	}
	switch sandbox.CodeOf(err) {
	case "", sandbox.Invalid, sandbox.Unsupported, sandbox.Denied, sandbox.NotFound:
		return false
	}
	return true
}
