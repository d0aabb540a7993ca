package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/figures"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says how a System works. StateDir and one driver are needed; zero elsewhere is useful.
type Config struct {
	// StateDir holds the journal. Drivers that place sandboxes on this machine should keep theirs in the same one.
	StateDir string
	// Drivers place sandboxes, by the name of the backend that each becomes. The System owns and closes them.
	Drivers map[string]backends.Driver
	// Default names the backend of runtimes that ask for none; "" is the only one there is.
	Default string
	// Backend is how every driver is treated. Without an Admission it gets one, which counts what all processes with the
	// same StateDir have promised of this host.
	Backend backends.Config
	// Overcommit is how many times over this host may be promised to sandboxes whose specs name limits; 0 means 1,
	// negative any number of times.
	Overcommit float64

	Sync     string        // journal.SyncProcess or journal.SyncFull
	LeaseTTL time.Duration // how long a dead process keeps others from its runtimes; 0 means 3 s
	Queue    int           // actions that may wait at one runtime; 0 means 1024
	Restart  Restart       // of a runtime that fails; Fatal and Spent are set by the System
	Interval time.Duration // between signs of life of a sandbox; 0 means 2 s
	Misses   int           // of those in a row that mean death; 0 means 3
	Grace    time.Duration // for what runs in a sandbox that is ended; 0 means 5 s
	Janitor  Janitor       // when sandboxes are ended that nobody drives any more
	Idle     Idle          // when the sandbox of a runtime rests that nobody uses and that does not say; zero is never
	Pool     Pool          // how many are held ready
	// ActionTimeout is that of an action that brings none; 0 means 10 minutes, negative none.
	ActionTimeout time.Duration

	// OnStatus hears of every change of status of the runtimes that are driven here, one at a time and in order.
	OnStatus func(StatusChange)
	// Tracer, if not nil, hears where the time goes; see NewTracer.
	Tracer *Tracer
	Log    *slog.Logger // nil discards
}

// StatusChange is one change of status, or one that was reported.
type StatusChange = actors.Change

// State is how a runtime is.
type State = actors.State

const (
	defaultLease = 3 * time.Second
	defaultQueue = 1024
	defaultGrace = 5 * time.Second
)

// System is the supervision tree of one process. Safe for concurrent use.
type System struct {
	cfg      Config
	owner    string
	journal  *journal.Journal
	backends map[string]*backends.Backend
	tree     *kit.System
	runtimes *actors.Runtimes
	janitors []*actors.Janitor
	pools    map[string]*actors.Pool // by backend

	actions *figures.Histogram
	ended   figures.Outcomes
	counts  *actors.Figures

	closing sync.Once
	closed  error
}

// Open starts a System. ctx bounds the opening only.
// Codes: Invalid, naming the field; and what the journal's Open says.
func Open(ctx context.Context, c Config) (*System, error) {
	c, err := c.filled()
	if err != nil {
		return nil, errors.Join(err, closeDrivers(c.Drivers))
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(&sandbox.Error{Code: sandbox.Canceled, Op: "supervisor.Open", Err: err}, closeDrivers(c.Drivers))
	}
	j, err := journal.Open(journal.Config{Path: filepath.Join(c.StateDir, "journal.db"), Sync: c.Sync})
	if err != nil {
		return nil, errors.Join(err, closeDrivers(c.Drivers))
	}
	s := &System{cfg: c, owner: owner(), journal: j, backends: map[string]*backends.Backend{},
		actions: figures.NewHistogram(figures.Durations), counts: actors.NewFigures()}
	if c.Backend.Claim == nil {
		c.Backend.Claim = s.claim
	}
	for name, d := range c.Drivers {
		s.backends[name] = backends.Open(name, d, c.Backend)
	}
	s.addPools()
	if err := s.grow(); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// grow starts the tree.
func (s *System) grow() error {
	c := s.cfg
	s.tree = kit.NewSystem(kit.Config{Log: c.Log, OnDeath: s.died, OnDeadLetter: func(path string, m any) {
		c.Log.Debug("dead letter", "actor", path, "message", fmt.Sprintf("%T", m))
	}})
	var members []kit.Member
	var notify func(actors.Change)
	if c.OnStatus != nil {
		h := actors.NewHerald(c.OnStatus)
		notify, members = h.Notify, append(members, h.Member())
	}
	restart := c.Restart
	restart.Fatal, restart.Spent = actors.Fatal, GiveUp
	s.runtimes = actors.NewRuntimes(actors.Config{
		Store: actors.Keep(s.journal), Owner: s.owner, TTL: c.LeaseTTL, Queue: c.Queue, Restart: OneForOne(restart),
		Interval: c.Interval, Misses: c.Misses, Grace: c.Grace, Idle: c.Idle, Notify: notify, Tracer: c.Tracer, Figures: s.counts, Log: c.Log,
	}, OneForOne(Restart{Fatal: actors.Fatal, Spent: GiveUp}))
	up := make(chan struct{})
	var once sync.Once
	members = append(members, s.tend(), s.runtimes.Member(), func(*kit.Context[kit.None]) error {
		once.Do(func() { close(up) }) // those before it have started; the group may start again
		return nil
	})
	if _, err := kit.Spawn(s.tree, "system", kit.Permanent, kit.Group(OneForOne(Restart{}), members...)); err != nil {
		return err
	}
	select {
	case <-up:
		return nil
	case <-s.tree.Done():
		return s.tree.Err()
	}
}

func (s *System) died(path string, e kit.ChildEvent, again bool) {
	attrs := []any{"actor", path, "err", e.Err, "restarting", again}
	if p, ok := errors.AsType[*kit.Panic](e.Err); ok {
		s.cfg.Log.Error("an actor panicked", append(attrs, "stack", string(p.Stack))...)
		return
	}
	s.cfg.Log.Info("an actor ended", attrs...)
}

func (c Config) filled() (Config, error) {
	if c.StateDir == "" {
		return c, invalid("Config.StateDir", errors.New("it is not set"))
	}
	if len(c.Drivers) == 0 {
		return c, invalid("Config.Drivers", errors.New("there is none"))
	}
	names := slices.Sorted(maps.Keys(c.Drivers))
	if c.Default == "" {
		if len(names) > 1 {
			return c, invalid("Config.Default", fmt.Errorf("want one of %s", strings.Join(names, ", ")))
		}
		c.Default = names[0]
	}
	if c.Drivers[c.Default] == nil {
		return c, invalid("Config.Default", fmt.Errorf("there is no driver %q, only %s", c.Default, strings.Join(names, ", ")))
	}
	if err := cmp.Or(checkNames(names), c.Janitor.check(), checkIdle(c.Idle), c.Pool.check(), c.Restart.Check()); err != nil {
		return c, err
	}
	c.LeaseTTL = cmp.Or(c.LeaseTTL, defaultLease)
	c.Queue = cmp.Or(c.Queue, defaultQueue)
	c.Grace = cmp.Or(c.Grace, defaultGrace)
	c.ActionTimeout = cmp.Or(c.ActionTimeout, 10*time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Tracer != nil {
		c.Log = slog.New(trace.Handler(c.Log.Handler()))
	}
	c.Backend.Log = cmp.Or(c.Backend.Log, c.Log)
	if c.Backend.Admission == nil {
		a, err := backends.OpenAdmission(backends.AdmissionConfig{Dir: filepath.Join(c.StateDir, "admission"), Overcommit: c.Overcommit})
		if err != nil {
			return c, invalid("Config.Overcommit", err)
		}
		c.Backend.Admission = a
	}
	return c, nil
}

// checkNames says whether backends can have these names, which are those of parts of the tree. Code: Invalid.
func checkNames(names []string) error {
	for _, name := range names {
		if err := sandbox.ID(name).Check(); err != nil {
			return invalid("Config.Drivers", fmt.Errorf("%q cannot name a backend: %w", name, err))
		}
	}
	return nil
}

// owner names this process, unlike any other.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), sandbox.RandomHex(4))
}

// Close lets go of all runtimes, which are left running, and returns when nothing of the System is left in this
// process. ctx bounds the wait for what the runtimes are doing. Idempotent. Code: Canceled.
func (s *System) Close(ctx context.Context) error {
	s.closing.Do(func() { s.closed = s.close(ctx) })
	return s.closed
}

func (s *System) close(ctx context.Context) error {
	var errs []error
	if s.runtimes != nil {
		errs = append(errs, s.leaveAll(ctx), s.tree.Stop(ctx))
	}
	for name, b := range s.backends {
		if p := s.pools[name]; p != nil {
			errs = append(errs, p.Close())
		}
		errs = append(errs, b.Close())
	}
	return errors.Join(append(errs, s.journal.Close())...)
}

// leaveAll lets go of the runtimes one by one and at once, so that their leases are given back.
func (s *System) leaveAll(ctx context.Context) error {
	all, err := s.runtimes.All(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, steward := range all {
		wg.Go(func() {
			if err := steward.Close(ctx); sandbox.CodeOf(err) == sandbox.Canceled {
				errs[i] = err
			} // else it has ended by itself, which is what is wanted
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func closeDrivers(drivers map[string]backends.Driver) error {
	var errs []error
	for _, d := range drivers {
		if c, ok := d.(interface{ Close() error }); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Runtime gives the runtime of spec.ID, ready to act: the one that is driven here, or one that another process has left
// (its sandbox is attached to, or started again), or a new one. "" lets the System make an id. ctx bounds the wait: a
// runtime that becomes ready later stays. Use OpenRuntime to name the backend.
// Codes: Invalid, Unsupported (a limit that the backend cannot enforce, or a rest that it cannot give), Conflict (another process drives it; or it has
// another backend or workspace), Unavailable, Exhausted, Denied, Canceled, and what the set-up failed of.
func (s *System) Runtime(ctx context.Context, spec sandbox.Spec) (*Runtime, error) {
	return s.OpenRuntime(ctx, "", spec)
}

// OpenRuntime is Runtime with the name of the backend; "" is the one it has, or for a new one the default.
func (s *System) OpenRuntime(ctx context.Context, backend string, spec sandbox.Spec) (*Runtime, error) {
	span := s.cfg.Tracer.Begin(ctx, spanOpen)
	rt, err := s.openRuntime(trace.With(ctx, span), backend, spec)
	span.Done(err)
	return rt, err
}

func (s *System) openRuntime(ctx context.Context, backend string, spec sandbox.Spec) (*Runtime, error) {
	if spec.ID == "" {
		spec.ID = sandbox.NewID()
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	b, err := s.backendOf(ctx, backend, spec.ID)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(b.Supports(spec), b.CheckIdle(spec, s.resting(spec))); err != nil {
		return nil, err
	}
	steward, _, err := s.runtimes.Open(ctx, actors.Order{Spec: spec, Backend: actors.Place(b), Span: trace.From(ctx)})
	if err != nil {
		return nil, err
	}
	return &Runtime{s: s, id: spec.ID, steward: steward, timeout: cmp.Or(spec.Limits.ActionTimeout, s.cfg.ActionTimeout)}, nil
}

// backendOf is the backend with that name; for "" the one that the runtime has already, or the default.
func (s *System) backendOf(ctx context.Context, name string, id sandbox.ID) (*backends.Backend, error) {
	if name == "" {
		row, err := s.journal.Runtime(ctx, id)
		switch sandbox.CodeOf(err) {
		case "", sandbox.NotFound:
		default:
			return nil, err
		}
		name = cmp.Or(row.Backend, s.cfg.Default)
	}
	b, ok := s.backends[name]
	if !ok {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "backend", ID: id, Err: fmt.Errorf("there is no backend %q, only %s",
			name, strings.Join(slices.Sorted(maps.Keys(s.backends)), ", "))}
	}
	return b, nil
}

// Find gives a runtime that is driven here, whatever its state, also one that has failed. Code: NotFound.
func (s *System) Find(ctx context.Context, id sandbox.ID) (*Runtime, error) {
	steward, err := s.runtimes.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Runtime{s: s, id: id, steward: steward, timeout: s.cfg.ActionTimeout}, nil
}

// recording bounds how long an event of the network waits for a steward, which answers at once.
const recording = 5 * time.Second

// RecordConnection puts on record, as an event of type "audit", what a runtime's sandbox did on the network. It is what
// drivers want as their backends.Options.OnConnection. Of a runtime that is not driven here nothing is recorded.
func (s *System) RecordConnection(id sandbox.ID, c sandbox.Connection) {
	ctx, cancel := context.WithTimeout(context.Background(), recording)
	defer cancel()
	body, err := json.Marshal(struct {
		Audit string `json:"audit"`
		sandbox.Connection
	}{"connection", c})
	var r *Runtime
	if err == nil {
		r, err = s.Find(ctx, id)
	}
	if err == nil {
		err = r.Record(ctx, journal.TypeAudit, body)
	}
	if err != nil {
		s.cfg.Log.Debug("a connection is not on record", "id", id, "err", err)
	}
}

// RecordAudit puts on record, as events of type "audit", what programs in a runtime's sandbox did. It is what drivers want as their
// backends.Options.OnAudit: it returns nil when all of it is durable, and an error if it is not, which whoever told it has to
// tell again. So it waits for the journal however long that takes: records told again that came through after all would be there twice.
// Codes: NotFound, if the runtime is not driven here; Unavailable, if its history cannot be written to now; those of
// journal.Append; Canceled, if the runtime is not found within five seconds.
func (s *System) RecordAudit(id sandbox.ID, records []sandbox.AuditRecord) error {
	bodies := make([][]byte, len(records))
	for i, r := range records {
		var err error
		if bodies[i], err = json.Marshal(r); err != nil {
			return &sandbox.Error{Code: sandbox.Internal, Op: "supervisor.RecordAudit", ID: id, Err: err}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), recording)
	defer cancel()
	rt, err := s.Find(ctx, id)
	if err != nil {
		return err
	}
	return rt.steward.Commit(context.WithoutCancel(ctx), journal.TypeAudit, bodies...) // the steward answers, or ends
}

// Listed is a runtime as the journal and its backend know it.
type Listed struct {
	journal.RuntimeRow
	Alive bool // its sandbox lives
}

// List names all runtimes of the state directory, whoever drives them.
func (s *System) List(ctx context.Context) ([]Listed, error) {
	rows, err := s.journal.Runtimes(ctx)
	if err != nil {
		return nil, err
	}
	alive := map[string]map[sandbox.ID]bool{}
	for name, b := range s.backends {
		if !slices.ContainsFunc(rows, func(r journal.RuntimeRow) bool { return r.Backend == name }) {
			continue // it need not even be there
		}
		list, err := b.List(ctx, "")
		if err != nil {
			return nil, err
		}
		alive[name] = map[sandbox.ID]bool{}
		for _, l := range list {
			alive[name][l.ID] = !l.Exited
		}
	}
	out := make([]Listed, len(rows))
	for i, r := range rows {
		out[i] = Listed{r, alive[r.Backend][r.ID]}
	}
	return out, nil
}

// Remove ends the runtime, wherever it was left, without starting its sandbox again, and forgets its history. Codes:
// NotFound, Conflict (another process drives it), and what ending the sandbox fails of.
func (s *System) Remove(ctx context.Context, id sandbox.ID) error {
	if err := id.Check(); err != nil {
		return err
	}
	if rt, err := s.Find(ctx, id); err == nil {
		if err := rt.Kill(ctx); err != nil && !errors.Is(err, kit.ErrGone) { // it may be about to end
			return err
		}
	}
	if _, err := s.journal.Runtime(ctx, id); err != nil {
		return err
	}
	b, err := s.backendOf(ctx, "", id)
	if err != nil {
		return err
	}
	lease, err := s.journal.Acquire(ctx, id, s.owner, s.cfg.LeaseTTL)
	if err != nil {
		return err
	}
	if err := b.Remove(ctx, id, lease.Epoch(), s.cfg.Grace); err != nil {
		return errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
	}
	return s.journal.RemoveRuntime(ctx, id, lease.Epoch())
}
