package backends

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport"
)

// Sandbox is a placed sandbox that answers: the client of the server inside, and the instance it runs in.
type Sandbox struct {
	*transport.Client
	id         sandbox.ID
	backend    *Backend
	instance   Instance
	unenforced []string
	phases     []sandbox.Phase
}

// connect makes the client of an instance, waits until it answers and makes it work for spec.Epoch.
func (b *Backend) connect(ctx context.Context, inst Instance, spec sandbox.Spec) (*Sandbox, error) {
	c := b.config.Transport
	c.ID, c.Epoch = spec.ID, spec.Epoch
	if spec.Owner != "" {
		c.Owner = spec.Owner
	}
	if k, ok := inst.(Keyed); ok {
		c.Key = k.Key()
	}
	if f := b.config.OnBreaker; f != nil {
		hear(&c.OnBreaker, func(from, to string) { f(spec.ID, from, to) })
	}
	client, err := transport.New(inst.Dial, c)
	if err != nil {
		return nil, err
	}
	if served, ok := inst.(Served); !ok || !served.Served() { // else it was started for this epoch, and has said that it answers
		waiting, ready := trace.Step(ctx, sandbox.PhaseReady)
		err := b.ready(waiting, inst, client, spec)
		if ready(err); err != nil {
			return nil, join(err, client.Close())
		}
	}
	return &Sandbox{
		Client: client, id: spec.ID, backend: b, instance: inst,
		unenforced: unenforced(spec, b.enforces()),
	}, nil
}

// hear makes hook call f with the names of the states.
func hear[S fmt.Stringer](hook *func(from, to S), f func(from, to string)) {
	*hook = func(from, to S) { f(from.String(), to.String()) }
}

// ready returns once the server inside has answered and taken the epoch, or as soon as it cannot any more: when the
// instance has exited there is nothing to wait for.
func (b *Backend) ready(ctx context.Context, inst Instance, client *transport.Client, spec sandbox.Spec) error {
	op := b.name + ".Ready"
	bounded, cancel := context.WithTimeout(ctx, b.config.ReadyTimeout)
	defer cancel()
	waiting, stop := context.WithCancelCause(bounded)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop(nil)
	watch.Go(func() {
		if exit, err := inst.Wait(waiting); err == nil {
			stop(fmt.Errorf("the sandbox ended before it was ready: %v", exit))
		}
	})
	err := client.Ready(waiting)
	if err == nil {
		err = client.Renew(waiting)
	}
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case bounded.Err() != nil:
		return &sandbox.Error{Code: sandbox.Unavailable, Op: op, ID: spec.ID, Err: fmt.Errorf("not ready within %v: %w", b.config.ReadyTimeout, err)}
	case waiting.Err() != nil:
		return &sandbox.Error{Code: sandbox.Unavailable, Op: op, ID: spec.ID, Err: context.Cause(waiting)}
	}
	return err
}

// ID is the sandbox's.
func (s *Sandbox) ID() sandbox.ID { return s.id }

// Instance is what the driver gave, for those who ask it for what only some can do.
func (s *Sandbox) Instance() Instance { return s.instance }

// Unenforced names the limits whose default this backend does not enforce. After an Attach, which does not know what
// was asked for, all those that the backend cannot enforce.
func (s *Sandbox) Unenforced() []string { return s.unenforced }

// Wait returns how the sandbox ended; any number of callers, before or after. Code: Canceled.
func (s *Sandbox) Wait(ctx context.Context) (sandbox.Exit, error) {
	exit, err := s.instance.Wait(ctx)
	return exit, s.backend.wrap("Wait", s.id, err)
}

// Stop ends the sandbox for good, as Instance.Stop says, and the client with it.
func (s *Sandbox) Stop(ctx context.Context, grace time.Duration) error {
	err := s.instance.Stop(ctx, grace)
	if err == nil {
		s.backend.release(s.id)
	}
	s.backend.log.Info("sandbox stopped", "id", s.id, "err", err)
	return s.backend.wrap("Stop", s.id, join(err, s.Client.Close()))
}

// Halt ends the sandbox's processes by force, and the client; Start with the same id revives it. Code: Unsupported.
func (s *Sandbox) Halt(ctx context.Context) error {
	h, ok := s.instance.(Halter)
	if !ok {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: s.backend.name + ".Halt", ID: s.id}
	}
	err := h.Halt(ctx)
	s.backend.log.Info("sandbox halted", "id", s.id, "err", err)
	return s.backend.wrap("Halt", s.id, join(err, s.Client.Close()))
}

// Close lets go of the sandbox, which lives on. Idempotent.
func (s *Sandbox) Close() error { return s.Client.Close() }

// join is errors.Join that leaves a single error as it is.
func join(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	return errors.Join(err, more)
}
