package kit

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sandtree/sandtree/sandbox"
)

// Config is for NewSystem; its zero value works.
type Config struct {
	Strategy Strategy      // for the actors that Spawn starts; nil: the system ends with the first that fails
	Grace    time.Duration // how long the end of an actor waits for its tasks; 0 means 5 s
	Log      *slog.Logger  // nil logs nothing

	// These are told of what happens, from whatever goroutine saw it, and must not wait.
	OnDeadLetter func(path string, m any)                    // a message that nobody took
	OnDeath      func(path string, e ChildEvent, again bool) // an actor failed or ended by itself; again: it will be restarted
}

// A System is a tree of actors.
type System struct {
	cfg  Config
	log  *slog.Logger
	lib  *actor.ActorSystem
	root Ref[visit]
	life context.Context
	end  context.CancelFunc

	spawned atomic.Uint64
	idle    chan func() // workers that have nothing to do receive here

	mu   sync.Mutex
	live map[*link]struct{}

	counts map[string]*Figures // by kind: what cannot be seen of those that live
}

// visit is a message to the root: what to do there.
type visit func(*Context[visit])

// root is the parent of all, and only supervises.
type root struct{ strategy Strategy }

func (r *root) Receive(c *Context[visit], do visit) error { do(c); return nil }
func (r *root) Strategy() Strategy                        { return r.strategy }

// NewSystem makes a System with no actor but its root. It must be stopped.
func NewSystem(cfg Config) *System {
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &System{cfg: cfg, log: cfg.Log, live: map[*link]struct{}{}, counts: map[string]*Figures{}, idle: make(chan func())}
	s.life, s.end = context.WithCancel(context.Background())
	quiet := slog.New(slog.DiscardHandler) // what the library has to say is said by us, in our words
	s.lib = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	s.lib.EventStream.Subscribe(func(e any) {
		if d, ok := e.(*actor.DeadLetterEvent); ok {
			if l, ok := d.Message.(undelivered); ok {
				s.count(l.kind(), func(f *Figures) { f.Dead++ })
				s.deadAt(d.PID.Id, l.undelivered())
			}
		}
	})
	l, err := spawn(s, s.lib.Root.Copy().WithGuardian(guardian{s}), nil, "sandtree", func() Actor[visit] { return &root{cfg.Strategy} })
	if err != nil {
		panic(err) // the name is taken in a system that is a line old: a bug
	}
	s.root = Ref[visit]{l}
	return s
}

// guardian stands above the root. Only a bug of this package brings it a failure.
type guardian struct{ s *System }

func (g guardian) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, why, _ any) {
	g.s.log.Error("a cell failed", "actor", child.Id, "err", fmt.Sprint(why))
	sup.StopChildren(child)
}

// Spawn starts an actor below the root. See SpawnChild.
func Spawn[M any](s *System, name string, kind Kind, make func() Actor[M]) (Ref[M], error) {
	type spawned struct {
		ref Ref[M]
		err error
	}
	r, err := Ask(context.Background(), s.root, func(r Reply[spawned]) visit {
		return func(c *Context[visit]) {
			ref, err := SpawnChild(c, name, kind, make)
			r.OK(spawned{ref, err})
		}
	})
	if err != nil {
		return Ref[M]{}, err
	}
	return r.ref, r.err
}

// Stop ends all actors, children before parents and younger before older ones, and returns when the last one has gone.
// ctx bounds the wait, not the end. May be called again. Code: Canceled, naming those that are left.
func (s *System) Stop(ctx context.Context) error {
	s.root.Stop()
	select {
	case <-s.root.Done():
		s.end()
		return nil
	case <-ctx.Done():
		return &sandbox.Error{Code: sandbox.Canceled, Op: "stop", Err: fmt.Errorf("still running: %s", strings.Join(s.Actors(), " "))}
	}
}

// Done is closed when the system has ended, because it was stopped or because its strategy escalated.
func (s *System) Done() <-chan struct{} { return s.root.Done() }

// Err is why the system ended; nil if it was stopped. To be called after Done.
func (s *System) Err() error { return s.root.Err() }

// Actors lists the paths of all actors that have not ended, sorted.
func (s *System) Actors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := make([]string, 0, len(s.live))
	for l := range s.live {
		if l.path != "" {
			paths = append(paths, l.path)
		}
	}
	slices.Sort(paths)
	return paths
}

func (s *System) born(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[l] = struct{}{}
}

func (s *System) buried(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, l)
}

func (s *System) dead(l *link, m any) {
	s.count(l.kind, func(f *Figures) { f.Dead++ })
	s.deadAt(l.path, m)
}

func (s *System) deadAt(path string, m any) {
	s.log.Debug("dead letter", "actor", path, "message", fmt.Sprintf("%T", m))
	if s.cfg.OnDeadLetter != nil {
		s.cfg.OnDeadLetter(path, m)
	}
}

func (s *System) died(l *link, e ChildEvent, again bool) {
	path := l.path
	s.count(l.kind, func(f *Figures) {
		if e.Err != ErrNormal {
			f.Failures++
		}
		if again {
			f.Restarts++
		}
	})
	if e.Err == ErrNormal {
		s.log.Debug("an actor has ended", "actor", path)
	} else {
		s.log.Warn("an actor failed", "actor", path, "err", e.Err, "restart", again, "attempt", e.Attempt, "of", e.Of)
	}
	if s.cfg.OnDeath != nil {
		s.cfg.OnDeath(path, e, again)
	}
}
