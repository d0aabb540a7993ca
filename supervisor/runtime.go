package supervisor

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"time"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport"
)

// Runtime performs actions in one supervised sandbox: it is a sandbox.Runtime that heals. It stays good when its sandbox
// is restarted, until it is closed or killed. Safe for concurrent use.
type Runtime struct {
	s       *System
	id      sandbox.ID
	steward actors.Steward
	timeout time.Duration // of actions that bring none; not positive: none
}

var _ sandbox.Runtime = (*Runtime)(nil)

// ID is the runtime's.
func (r *Runtime) ID() sandbox.ID { return r.id }

// Do performs a and returns what was seen; see sandbox.Runtime. An action that was running when the sandbox died has an
// observation for which Interrupted is true, and has not run again; those that waited are performed after the restart.
// An action of a kind that no sandbox performs is recorded, and its observation is null.
// Additional codes: Exhausted (too many actions wait), Lost (the runtime ended before the action's end was known: ask
// again under the same id when it is open again).
func (r *Runtime) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	if a.Timeout == 0 && r.timeout > 0 {
		a.Timeout = r.timeout
	}
	begun, span := time.Now(), r.s.cfg.Tracer.Begin(ctx, spanDo)
	if span != nil {
		span.Set("runtime", string(r.id))
		if a.Args != nil {
			span.Set("kind", string(a.Kind()))
		}
		ctx = trace.With(ctx, span)
	}
	seen, err := r.steward.Do(ctx, a, out)
	span.Done(err)
	r.s.actions.Since(begun)
	r.s.ended.Add(err)
	return seen, err
}

// Run performs one shell command in the runtime's session.
func (r *Runtime) Run(ctx context.Context, command string, out sandbox.Output) (sandbox.Observation, error) {
	return r.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, out)
}

// State says how the runtime is. It is answered at once, whatever the runtime does.
func (r *Runtime) State(ctx context.Context) (State, error) { return r.steward.State(ctx) }

// Ready waits until the runtime is ready, or will not be; then the error is what it failed of.
func (r *Runtime) Ready(ctx context.Context) (State, error) { return r.steward.Ready(ctx) }

// Ping asks the sandbox for a life sign.
func (r *Runtime) Ping(ctx context.Context) error {
	return r.with(ctx, func(s actors.Sandbox) error { return s.Ping(ctx) })
}

// AddEnv exports variables in the shell, now and whenever the sandbox has to be set up again. The values are secret.
func (r *Runtime) AddEnv(ctx context.Context, vars map[string]string) error {
	return r.steward.AddEnv(ctx, vars)
}

// SetEgress changes what programs in the sandbox may connect to, now and whenever the sandbox is started again;
// connections that they have and may no longer have are cut. Codes: Invalid, Unsupported (the backend cannot).
func (r *Runtime) SetEgress(ctx context.Context, e sandbox.Egress) error {
	return r.steward.SetEgress(ctx, e)
}

// Traffic is what the sandbox has had of the network since this process has driven it. Code: Unsupported.
func (r *Runtime) Traffic(ctx context.Context) (t sandbox.Traffic, err error) {
	err = r.with(ctx, func(s actors.Sandbox) error {
		t, err = s.Traffic()
		return err
	})
	return t, err
}

// Interrupt sends SIGINT to what the action with this id runs in the foreground, or takes it out of the queue. "" is
// the action in flight. Code: NotFound.
func (r *Runtime) Interrupt(ctx context.Context, actionID string) error {
	return r.steward.Interrupt(ctx, actionID)
}

// Report makes a status known that only a controller can know of, such as a failing language model: as an event and to
// OnStatus. The runtime's own status stays. Code: Invalid, if runtimes set this status themselves.
func (r *Runtime) Report(ctx context.Context, status sandbox.Status, message string) error {
	return r.steward.Report(ctx, status, message)
}

// Record puts an event of the embedder's on record. It does not wait until it is durable.
func (r *Runtime) Record(ctx context.Context, typ string, body json.RawMessage) error {
	return r.steward.Record(ctx, typ, body)
}

// Events yields the events of the runtime with a number above after: those that are on record, and then each as it
// happens, without gaps, until ctx ends.
func (r *Runtime) Events(ctx context.Context, after uint64) iter.Seq2[journal.Record, error] {
	return r.s.journal.Subscribe(ctx, r.id, after)
}

// Events is Runtime.Events for a runtime that need not be driven here. Code of the first error: NotFound.
func (s *System) Events(ctx context.Context, id sandbox.ID, after uint64) iter.Seq2[journal.Record, error] {
	return s.journal.Subscribe(ctx, id, after)
}

// Terminal opens an interactive shell in the sandbox, apart from the session of the actions.
func (r *Runtime) Terminal(ctx context.Context, cols, rows uint16) (*transport.Terminal, error) {
	s, done, err := r.steward.Use(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.Terminal(ctx, cols, rows)
	if err != nil {
		done()
		return nil, err
	}
	t.AtEnd(done)
	return t, nil
}

// List names the entries of a directory in the sandbox; see sandbox.Files.
func (r *Runtime) List(ctx context.Context, path string) (names []string, err error) {
	err = r.with(ctx, func(s actors.Sandbox) error {
		names, err = s.List(ctx, path)
		return err
	})
	return names, err
}

// Get streams a file of the sandbox to w.
func (r *Runtime) Get(ctx context.Context, path string, w io.Writer) error {
	return r.with(ctx, func(s actors.Sandbox) error { return s.Get(ctx, path, w) })
}

// Put makes or replaces a file in the sandbox.
func (r *Runtime) Put(ctx context.Context, path string, in io.Reader) error {
	return r.with(ctx, func(s actors.Sandbox) error { return s.Put(ctx, path, in) })
}

// GetTree streams a directory of the sandbox as a tar archive to w.
func (r *Runtime) GetTree(ctx context.Context, path string, w io.Writer) error {
	return r.with(ctx, func(s actors.Sandbox) error { return s.GetTree(ctx, path, w) })
}

// PutTree unpacks a tar archive in the sandbox.
func (r *Runtime) PutTree(ctx context.Context, path string, in io.Reader) error {
	return r.with(ctx, func(s actors.Sandbox) error { return s.PutTree(ctx, path, in) })
}

func (r *Runtime) with(ctx context.Context, f func(actors.Sandbox) error) error {
	s, done, err := r.steward.Use(ctx)
	if err != nil {
		return err
	}
	defer done()
	return f(s)
}

// Reopen starts a runtime again that has stopped because it failed, and waits until it is ready.
func (r *Runtime) Reopen(ctx context.Context) (State, error) {
	if err := r.steward.Reopen(ctx); err != nil {
		return State{}, err
	}
	return r.steward.Ready(ctx)
}

// Close lets go of the runtime and leaves its sandbox running, for Runtime to find again, here or in another process.
// The action in flight goes on in the sandbox; who waits for it here is answered with Lost.
func (r *Runtime) Close(ctx context.Context) error { return r.steward.Close(ctx) }

// Kill ends the sandbox and all that runs in it. A workspace that was named and the history are kept.
func (r *Runtime) Kill(ctx context.Context) error { return r.steward.Kill(ctx) }
