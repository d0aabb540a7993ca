package backends

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport"
)

// Config says how a Backend treats its driver. Zero is useful.
type Config struct {
	// Transport is the pattern for the clients of the sandboxes: Key, ID and Epoch are set for each.
	Transport transport.Config
	// ReadyTimeout is how long the server inside may take to answer after its start; 0 means 30 s.
	ReadyTimeout time.Duration
	// Attempts is how often an operation that fails for want of something is tried in all; 0 means 4.
	Attempts int
	// OnBreaker, if not nil, hears when the circuit breaker of a sandbox's client changes its state (closed, open,
	// half-open), in order.
	OnBreaker func(id sandbox.ID, from, to string)
	// Admission, if not nil, is asked before a sandbox is started that would use up this host (see Resident).
	Admission *Admission
	// Claim, if not nil, gives a blank of a backend that fits spec and shape, for the caller alone, or nil. It must not wait.
	Claim func(backend, shape string, spec sandbox.Spec) Blank
	Log   *slog.Logger // nil discards
}

const (
	defaultReadyTimeout = 30 * time.Second // a container whose image is at hand starts within seconds, on a slow disk too
	defaultAttempts     = 4                // three pauses, 0.35 to 0.7 s together
	cleanupTimeout      = 30 * time.Second // for ending what failed to start
)

// Backend is a driver and what all drivers need. Safe for concurrent use.
type Backend struct {
	name   string
	driver Driver
	config Config
	log    *slog.Logger

	figures *Figures
}

// Open makes a backend of a driver. The backend owns the driver: Close closes it.
func Open(name string, d Driver, c Config) *Backend {
	if c.ReadyTimeout == 0 {
		c.ReadyTimeout = defaultReadyTimeout
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if r, ok := d.(Resident); !ok || !r.Resident() {
		c.Admission = nil
	}
	b := &Backend{name: name, driver: d, config: c, log: c.Log.With("backend", name), figures: newFigures()}
	if c.Transport.Figures != nil {
		b.figures.Transport = c.Transport.Figures
	}
	b.config.Transport.Figures = b.figures.Transport
	if c.Admission != nil {
		c.Admission.know(name, func(ctx context.Context) ([]Listed, error) { return d.List(ctx, "") })
	}
	return b
}

// Name is the name that the backend was opened with.
func (b *Backend) Name() string { return b.name }

// Supports says at once whether Start would refuse spec whatever the state of the infrastructure.
// Codes: Invalid, Unsupported.
func (b *Backend) Supports(spec sandbox.Spec) error {
	if err := spec.Check(); err != nil {
		return b.wrap("Start", spec.ID, err)
	}
	if err := b.checkFrom(spec); err != nil {
		return b.wrap("Start", spec.ID, err)
	}
	if err := checkAudit(b.name, spec, b.driver); err != nil {
		return b.wrap("Start", spec.ID, err)
	}
	return b.wrap("Start", spec.ID, b.explain(checkLimits(b.name, spec, b.enforces())))
}

// Start gives the sandbox that spec describes, answering and working for spec.Epoch: a new one, the living one of that
// id, or a dead one revived. ctx bounds the start, not the life of the sandbox.
// Codes: Invalid, Unsupported, Conflict, Denied, Exhausted, Unavailable, Canceled.
func (b *Backend) Start(ctx context.Context, spec sandbox.Spec) (*Sandbox, error) {
	begun := time.Now()
	s, err := b.start(ctx, spec)
	if b.figures.start.Add(err); err == nil {
		b.figures.Starts.Since(begun)
	}
	return s, err
}

func (b *Backend) start(ctx context.Context, spec sandbox.Spec) (*Sandbox, error) {
	if err := b.Supports(spec); err != nil {
		return nil, err
	}
	begun := time.Now()
	ctx, phases := noted(ctx)
	fresh, err := b.admit(ctx, spec)
	if err != nil {
		return nil, b.wrap("Start", spec.ID, err)
	}
	s, err := retry(ctx, b.config.Attempts, b.retrying("Start", spec.ID), func() (*Sandbox, error) {
		inst, by, err := b.begin(ctx, spec)
		if err != nil {
			return nil, err
		}
		s, err := b.connect(ctx, inst, spec)
		if err != nil {
			return nil, join(err, b.giveUp(ctx, inst, sandbox.CodeOf(err)))
		}
		by.Add(1)
		return s, nil
	})
	if err != nil {
		if fresh {
			b.release(spec.ID)
		}
		return nil, b.wrap("Start", spec.ID, b.canceled(ctx, err))
	}
	s.phases = phases()
	b.log.InfoContext(ctx, "sandbox started", "id", spec.ID, "epoch", spec.Epoch, "took", time.Since(begun))
	return s, nil
}

// Attach gives a sandbox that was started earlier and lives, working for epoch from now on.
// Codes: Invalid, NotFound, Conflict (a newer epoch holds it), Denied, Unavailable, Canceled.
func (b *Backend) Attach(ctx context.Context, id sandbox.ID, epoch uint64) (*Sandbox, error) {
	s, err := b.attach(ctx, id, epoch)
	if b.figures.attach.Add(absent(err)); err == nil {
		b.figures.Attached.Add(1)
	}
	return s, err
}

func (b *Backend) attach(ctx context.Context, id sandbox.ID, epoch uint64) (*Sandbox, error) {
	if err := id.Check(); err != nil {
		return nil, b.wrap("Attach", id, err)
	}
	ctx, phases := noted(ctx)
	looking, looked := trace.Step(ctx, sandbox.PhaseAttach)
	inst, err := retry(ctx, b.config.Attempts, b.retrying("Attach", id), func() (Instance, error) {
		return b.driver.Attach(looking, id)
	})
	looked(absent(err))
	if l, ok := inst.(Labeler); ok && err == nil {
		err = l.Relabel(ctx, epoch)
	}
	var s *Sandbox
	if err == nil { // once: what does not answer now is Start's to revive
		s, err = b.connect(ctx, inst, sandbox.Spec{ID: id, Epoch: epoch})
	}
	if err != nil {
		return nil, b.wrap("Attach", id, b.canceled(ctx, err))
	}
	s.phases = phases()
	b.log.InfoContext(ctx, "sandbox attached", "id", id, "epoch", epoch)
	return s, nil
}

// List names the instances of owner, or of everybody if it is "", exited ones too.
// Codes: Denied, Exhausted, Unavailable, Canceled.
func (b *Backend) List(ctx context.Context, owner string) ([]Listed, error) {
	l, err := retry(ctx, b.config.Attempts, b.retrying("List", ""), func() ([]Listed, error) {
		return b.driver.List(ctx, owner)
	})
	b.figures.list.Add(err)
	return l, b.wrap("List", "", b.canceled(ctx, err))
}

// Remove stops the sandbox named id and clears away what is left of it, also if its server is dead, for one whose epoch is
// epoch. No such sandbox is no error. Codes: Invalid, Conflict (a newer epoch holds it), Denied, Unavailable, Canceled.
func (b *Backend) Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	if err := id.Check(); err != nil {
		return b.wrap("Remove", id, err)
	}
	_, err := retry(ctx, b.config.Attempts, b.retrying("Remove", id), func() (struct{}, error) {
		return struct{}{}, b.remove(ctx, id, epoch, grace)
	})
	b.figures.remove.Add(err)
	if err == nil {
		b.release(id)
		b.log.Info("sandbox removed", "id", id)
	}
	return b.wrap("Remove", id, b.canceled(ctx, err))
}

func (b *Backend) remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	if r, ok := b.driver.(Remover); ok {
		return r.Remove(ctx, id, epoch, grace)
	}
	inst, err := b.driver.Attach(ctx, id)
	switch {
	case sandbox.CodeOf(err) == sandbox.NotFound:
		return nil
	case err != nil:
		return err
	}
	if l, ok := inst.(Labeler); ok && epoch != AnyEpoch { // which Stop looks at
		if err := l.Relabel(ctx, epoch); err != nil {
			return err
		}
	}
	return inst.Stop(ctx, grace)
}

// Check says whether the machine has what the driver needs; the error says what to do.
func (b *Backend) Check(ctx context.Context) error {
	if c, ok := b.driver.(Checker); ok {
		return b.wrap("Check", "", c.Check(ctx))
	}
	return nil
}

// Close lets go of the driver; the sandboxes live on. Idempotent where the driver's Close is.
func (b *Backend) Close() error {
	if c, ok := b.driver.(io.Closer); ok {
		return b.wrap("Close", "", c.Close())
	}
	return nil
}

// admit asks for room for a sandbox; fresh says that it had none before. Code: Exhausted.
func (b *Backend) admit(ctx context.Context, spec sandbox.Spec) (fresh bool, err error) {
	if b.config.Admission == nil {
		return false, nil
	}
	ctx, end := trace.Step(ctx, sandbox.PhaseAdmit)
	fresh, err = b.config.Admission.admit(ctx, b.name, spec, b.enforces())
	end(err)
	return fresh, err
}

// release gives back the room of a sandbox that is no more.
func (b *Backend) release(id sandbox.ID) {
	if b.config.Admission == nil {
		return
	}
	if err := b.config.Admission.release(b.name, id); err != nil { // it is found out when there is no room any more
		b.log.Warn("what a sandbox was promised cannot be taken back", "id", id, "err", err)
	}
}

func (b *Backend) enforces() []string {
	if l, ok := b.driver.(Limiter); ok {
		return l.Enforces()
	}
	return nil
}

// giveUp deals with an instance that was started but cannot be used. What this start made is ended. What was there
// before is not ours to remove, but if it does not answer it is halted, so that the next attempt revives it.
func (b *Backend) giveUp(ctx context.Context, inst Instance, why sandbox.Code) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if f, ok := inst.(Fresh); ok && f.Fresh() {
		return inst.Stop(cleanup, 0)
	}
	if h, ok := inst.(Halter); ok && why == sandbox.Unavailable && ctx.Err() == nil {
		return h.Halt(cleanup)
	}
	return nil
}

func (b *Backend) retrying(op string, id sandbox.ID) func(error, time.Duration) {
	return func(err error, pause time.Duration) {
		b.log.Warn("will try again", "op", op, "id", id, "err", err, "pause", pause)
	}
}

// canceled gives err the code Canceled if it came about because the caller stopped waiting.
func (b *Backend) canceled(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if c := sandbox.CodeOf(err); c != sandbox.Canceled && !retryable(c) {
		return err // it would have failed without the cancellation
	}
	return &sandbox.Error{Code: sandbox.Canceled, Err: fmt.Errorf("%w: %w", context.Cause(ctx), err)}
}

// wrap says in err which operation failed on which sandbox, unless it says so.
func (b *Backend) wrap(op string, id sandbox.ID, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*sandbox.Error); ok && e.Op == "" { // made here or by a driver that leaves the naming to us
		return &sandbox.Error{Code: e.Code, Op: b.name + "." + op, ID: id, Err: e.Err}
	} else if ok && e.ID == id {
		return err
	}
	return &sandbox.Error{Code: sandbox.CodeOf(err), Op: b.name + "." + op, ID: id, Err: err}
}
