package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// Steward is how others reach the steward of one runtime. It stays good across restarts of the runtime, until the
// activation ends. Safe for concurrent use.
//
// Codes of all its methods: Canceled (ctx ended, which bounds the wait and not the work), Unavailable (the runtime has
// stopped, or is being closed; or the code of what it failed of), Conflict (another controller has taken over).
type Steward struct {
	ref kit.Ref[stewardMsg]
	id  sandbox.ID
}

// ID is the runtime's.
func (s Steward) ID() sandbox.ID { return s.id }

// Done is closed when the activation has ended.
func (s Steward) Done() <-chan struct{} { return s.ref.Done() }

// Do is sandbox.Runtime's, with what a sandbox alone cannot promise: the action waits while the runtime is being
// restarted, and one that was running then is settled. An action of a kind that no sandbox performs is recorded, and its
// observation is null. Additional codes: Exhausted (too many wait), Lost (the runtime ended before the action's end was
// known: ask again under the same id when it is open again).
func (s Steward) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	if a.Args == nil {
		return sandbox.Observation{}, failure(sandbox.Invalid, "runtime.Do", s.id, "an action without arguments")
	}
	named := a.ID != ""
	if !named {
		a.ID = sandbox.NewActionID()
	} else if err := sandbox.CheckActionID(a.ID); err != nil {
		return sandbox.Observation{}, err
	}
	t := newTap(out)
	defer t.close()
	span := trace.From(ctx)
	wait, at := span.Start(spanWait), time.Now()
	return kit.Ask(ctx, s.ref, func(r kit.Reply[sandbox.Observation]) stewardMsg {
		return do{Reply: r, action: a, named: named, tap: t, span: span, wait: wait, at: at}
	})
}

// State says how the runtime is. It is answered at once, whatever the runtime does.
func (s Steward) State(ctx context.Context) (State, error) {
	return kit.Ask(ctx, s.ref, func(r kit.Reply[State]) stewardMsg { return state{r} })
}

// Ready waits until the runtime is ready, or will not be; then the error is what it failed of.
func (s Steward) Ready(ctx context.Context) (State, error) { return s.ready(ctx, Order{}) }

func (s Steward) ready(ctx context.Context, o Order) (State, error) {
	return kit.Ask(ctx, s.ref, func(r kit.Reply[State]) stewardMsg { return ready{r, o} })
}

// Use gives the sandbox itself, for files and terminals, when the runtime is ready. It is good until the runtime fails or is
// closed, and does not rest before done has been called, which may be called more than once; actions are not to be done with
// it.
func (s Steward) Use(ctx context.Context) (there Sandbox, done func(), err error) {
	u := &use{}
	done = func() { s.ref.Tell(enough{u}) }
	there, err = kit.Ask(ctx, s.ref, func(r kit.Reply[Sandbox]) stewardMsg { return access{r, u} })
	if err != nil {
		done() // the answer may be on its way
		return nil, func() {}, err
	}
	return there, done, nil
}

// Interrupt sends SIGINT to what the action runs in the foreground, or takes it out of the queue. id "" is the action in
// flight. Additional code: NotFound.
func (s Steward) Interrupt(ctx context.Context, id string) error {
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return interrupt{r, id} })
}

// AddEnv exports variables in the shell, after the actions that wait, and again whenever the sandbox has to be set up
// again. Their values are masked in events, but those of
// variables that are well known to be harmless (LANG, PATH, …) and short ones. Additional codes: Invalid, Exhausted.
func (s Steward) AddEnv(ctx context.Context, vars map[string]string) error {
	for k, v := range vars {
		if err := sandbox.CheckEnv(k, v); err != nil {
			return &sandbox.Error{Code: sandbox.Invalid, Op: "runtime.AddEnv", ID: s.id, Err: err}
		}
	}
	if len(vars) == 0 {
		return nil
	}
	vars = maps.Clone(vars)
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return addEnv{r, vars} })
}

// SetEgress changes what programs in the sandbox may connect to, when the runtime is ready, and for all its sandboxes to
// come. Additional codes: Invalid, Unsupported.
func (s Steward) SetEgress(ctx context.Context, e sandbox.Egress) error {
	if err := e.Check(); err != nil {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "runtime.SetEgress", ID: s.id, Err: err}
	}
	e.Domains, e.CIDRs = slices.Clone(e.Domains), slices.Clone(e.CIDRs)
	there, done, err := s.Use(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := there.SetEgress(ctx, e); err != nil { // before it is on record: what the backend cannot do is no policy
		return err
	}
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return setEgress{r, e} })
}

// Report makes a status known that only a controller can know of, such as a failing language model; the runtime's own
// status stays. Additional code: Invalid, if the status is one that runtimes set.
func (s Steward) Report(ctx context.Context, status sandbox.Status, message string) error {
	if !status.Reportable() {
		return failure(sandbox.Invalid, "runtime.Report", s.id, fmt.Sprintf("the status %q is not for reporting", status))
	}
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return report{r, status, message} })
}

// Record puts an event of the given type on record. It does not wait until it is durable.
func (s Steward) Record(ctx context.Context, typ string, body json.RawMessage) error {
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return note{r, typ, [][]byte{body}, false} })
}

// Commit puts events of the given type on record, all or none, and waits until they are durable. When ctx ends before, they may
// become so nevertheless. Additional codes: those of journal.Append; Unavailable, if the history cannot be written to now.
func (s Steward) Commit(ctx context.Context, typ string, bodies ...[]byte) error {
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return note{r, typ, bodies, true} })
}

// Reopen starts a runtime again that has stopped because it failed. It does not wait until it is ready.
func (s Steward) Reopen(ctx context.Context) error {
	return s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return reopen{r} })
}

// Close ends the activation and leaves the sandbox as it is, for the next. What waits in the queue is answered with
// Unavailable, what is in flight with Lost.
func (s Steward) Close(ctx context.Context) error { return s.leave(ctx, false) }

// Kill ends the sandbox, and the activation.
func (s Steward) Kill(ctx context.Context) error { return s.leave(ctx, true) }

func (s Steward) leave(ctx context.Context, kill bool) error {
	err := s.ask(ctx, func(r kit.Reply[struct{}]) stewardMsg { return leave{r, kill} })
	if err != nil {
		return err
	}
	select {
	case <-s.ref.Done(): // at once: it has done all it had to do
		return nil
	case <-ctx.Done():
		return &sandbox.Error{Code: sandbox.Canceled, Op: "runtime.Close", ID: s.id, Err: context.Cause(ctx)}
	}
}

func (s Steward) ask(ctx context.Context, m func(kit.Reply[struct{}]) stewardMsg) error {
	_, err := kit.Ask(ctx, s.ref, m)
	return err
}

// defaults fills in what a Config leaves open.
func (c Config) defaults() Config {
	if c.Interval == 0 {
		c.Interval = 2 * time.Second // three misses are noticed within the 10 s that a client's own retries last
	}
	if c.Misses == 0 {
		c.Misses = 3
	}
	if c.Figures == nil {
		c.Figures = NewFigures()
	}
	return c
}
