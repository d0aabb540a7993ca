package actors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// rig is a system of actors on fakes, in a bubble.
type rig struct {
	t        *testing.T
	store    *memory
	world    *world
	sys      *kit.System
	runtimes *Runtimes
	changes  changes
	began    time.Time
}

// changes are what the embedder's function was called with.
type changes struct {
	mu   sync.Mutex
	list []Change
}

func (c *changes) add(ch Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, ch)
}

func (c *changes) all() []Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// restarts allows three restarts, after one, two and four seconds.
func restarts(d kit.Death, h kit.History) []kit.Effect {
	if d.Why == kit.ErrNormal || len(h) >= 3 || Fatal(d.Why) {
		return []kit.Effect{{Op: kit.End, Child: d.Who}}
	}
	return []kit.Effect{{Op: kit.Begin, Child: d.Who, After: time.Second << len(h), Attempt: len(h) + 1, Of: 3}}
}

const ttl = 3 * time.Second

func newRig(t *testing.T, owner string, store *memory, w *world) *rig {
	r := &rig{t: t, store: store, world: w, began: time.Now()}
	r.runtimes = NewRuntimes(Config{
		Store: store, Owner: owner, TTL: ttl, Queue: 3, Restart: restarts, Notify: r.changes.add, Log: slog.New(slog.DiscardHandler),
	}, restarts)
	r.sys = kit.NewSystem(kit.Config{})
	if _, err := kit.Spawn(r.sys, "root", kit.Permanent, kit.Group(nil, r.runtimes.Member())); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return r
}

// stop ends the actors without a word to anybody, as the death of their process would.
func (r *rig) stop() {
	r.t.Helper()
	if err := r.sys.Stop(context.Background()); err != nil {
		r.t.Error(err)
	}
}

func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "one", newMemory(), newWorld())
		defer r.world.end()
		defer r.stop()
		f(t, r)
	})
}

func (r *rig) order(id sandbox.ID) Order { return Order{Spec: sandbox.Spec{ID: id}, Backend: r.world} }

func (r *rig) open(id sandbox.ID) Steward {
	r.t.Helper()
	s, _, err := r.runtimes.Open(r.t.Context(), r.order(id))
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func command(id, text string) sandbox.Action {
	return sandbox.Action{ID: id, Args: sandbox.RunArgs{Command: text}}
}

// doing is an action in progress.
type doing struct {
	seen sandbox.Observation
	err  error
	done chan struct{}
}

func start(s Steward, a sandbox.Action) *doing {
	d := &doing{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.seen, d.err = s.Do(context.Background(), a, nil)
	}()
	synctest.Wait()
	return d
}

func (d *doing) finished() bool {
	synctest.Wait()
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

func (r *rig) state(s Steward) State {
	r.t.Helper()
	st, err := s.State(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}

func (r *rig) expectHistory(want string) {
	r.t.Helper()
	synctest.Wait()
	if got := r.store.history("a"); got != want {
		r.t.Errorf("history: %s\nwant:    %s", got, want)
	}
}

func expectCode(t *testing.T, what string, err error, want sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != want {
		t.Errorf("%s: code %q, want %q (%v)", what, got, want, err)
	}
}

const broughtUp = "BUILDING_RUNTIME STARTING_RUNTIME RUNTIME_STARTED SETTING_UP_WORKSPACE SETTING_UP_GIT_HOOKS READY"
const broughtBack = "restart ERROR(recovering) STARTING_RUNTIME RUNTIME_STARTED SETTING_UP_WORKSPACE SETTING_UP_GIT_HOOKS READY"

var errAny = errors.New("any")
