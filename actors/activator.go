package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

// The activator knows which runtimes are active here, and supervises their stewards.

// Messages.
type (
	activatorMsg interface{ activatorMsg() } // sealed: those below and no other
	activate     struct {                    // command: there shall be a steward for the order's runtime
		kit.Reply[active]
		order Order
	}
	active struct { // answer to activate
		Steward
		fresh bool // it was started for this order
	}
	find struct { // query
		kit.Reply[Steward]
		id sandbox.ID
	}
	all struct{ kit.Reply[[]Steward] } // query
)

func (activate) activatorMsg() {}
func (find) activatorMsg()     {}
func (all) activatorMsg()      {}

// State. Only Receive and Child touch it.
type activator struct {
	cfg      Config
	strategy kit.Strategy
	stewards map[string]Steward
	later    []activate // for runtimes whose old steward has ended, but not for us yet
}

// Strategy implements kit.Supervisor.
func (a *activator) Strategy() kit.Strategy { return a.strategy }

// Receive implements kit.Actor.
func (a *activator) Receive(c *kit.Context[activatorMsg], m activatorMsg) error {
	switch m := m.(type) {
	case activate:
		a.activate(c, m)
	case find:
		if s, ok := a.stewards[string(m.id)]; ok {
			m.OK(s)
		} else {
			m.Err(failure(sandbox.NotFound, "runtime", m.id, "it is not active here"))
		}
	case all:
		list := make([]Steward, 0, len(a.stewards))
		for _, s := range a.stewards {
			list = append(list, s)
		}
		slices.SortFunc(list, func(a, b Steward) int { return strings.Compare(string(a.id), string(b.id)) })
		m.OK(list)
	}
	return nil
}

func (a *activator) activate(c *kit.Context[activatorMsg], m activate) {
	s, ok := a.stewards[string(m.order.Spec.ID)]
	if ok {
		select {
		case <-s.Done():
			a.later = append(a.later, m)
		default:
			m.OK(active{Steward: s})
		}
		return
	}
	s, err := a.spawn(c, m.order)
	if err != nil {
		m.Err(err)
		return
	}
	m.OK(active{s, true})
}

func (a *activator) spawn(c *kit.Context[activatorMsg], o Order) (Steward, error) {
	o.Spec.Setup = withoutPassword(o.Spec.Setup)
	id := o.Spec.ID
	log := a.cfg.Log.With("runtime", id)
	ref, err := kit.SpawnChild(c, string(id), kit.Transient, func() kit.Actor[stewardMsg] {
		return &steward{cfg: a.cfg, order: o, log: log}
	})
	if err != nil {
		return Steward{}, err
	}
	s := Steward{ref: ref, id: id}
	a.stewards[string(id)] = s
	return s, nil
}

// Child forgets the stewards that have ended.
func (a *activator) Child(c *kit.Context[activatorMsg], e kit.ChildEvent) error {
	if e.What != kit.Ended {
		return nil
	}
	delete(a.stewards, e.Name)
	later := a.later
	a.later = nil
	for _, m := range later {
		a.activate(c, m)
	}
	return nil
}

// Runtimes is how others reach the activator. Safe for concurrent use.
type Runtimes struct {
	cfg      Config
	strategy kit.Strategy // of the stewards
	ref      atomic.Pointer[kit.Ref[activatorMsg]]
}

// NewRuntimes makes an activator, to be started as a Member. strategy is for stewards that fail: one that has lost its
// lease must be given up on.
func NewRuntimes(cfg Config, strategy kit.Strategy) *Runtimes {
	return &Runtimes{cfg: cfg.defaults(), strategy: strategy}
}

// Member starts the activator below a group.
func (r *Runtimes) Member() kit.Member {
	return kit.MemberOf("runtimes", kit.Permanent, func() kit.Actor[activatorMsg] {
		return &activator{cfg: r.cfg, strategy: r.strategy, stewards: map[string]Steward{}}
	}, func(ref kit.Ref[activatorMsg]) { r.ref.Store(&ref) })
}

func (r *Runtimes) activator() kit.Ref[activatorMsg] {
	if p := r.ref.Load(); p != nil {
		return *p
	}
	return kit.Ref[activatorMsg]{}
}

// Open gives the runtime of o.Spec.ID, active here and ready. Codes: Conflict (another process drives it; or it has
// another backend or workspace), Unavailable, Canceled, and whatever starting or setting up a sandbox fails of.
func (r *Runtimes) Open(ctx context.Context, o Order) (Steward, State, error) {
	for {
		s, err := kit.Ask(ctx, r.activator(), func(r kit.Reply[active]) activatorMsg { return activate{r, o} })
		if err != nil {
			return Steward{}, State{}, err
		}
		st, err := s.ready(ctx, o)
		if s.fresh || !s.leaving(ctx, err) {
			return s.Steward, st, err
		}
	}
}

// leaving says whether err came of a steward that was on its way out when it was asked, and waits until it has ended.
func (s Steward) leaving(ctx context.Context, err error) bool {
	if !errors.Is(err, errClosing) && !errors.Is(err, kit.ErrGone) {
		return false
	}
	select {
	case <-s.Done():
		return true
	case <-ctx.Done():
		return false
	}
}

// Find gives the runtime if it is active here. Code: NotFound.
func (r *Runtimes) Find(ctx context.Context, id sandbox.ID) (Steward, error) {
	return kit.Ask(ctx, r.activator(), func(r kit.Reply[Steward]) activatorMsg { return find{r, id} })
}

// All lists the runtimes that are active here, by id.
func (r *Runtimes) All(ctx context.Context) ([]Steward, error) {
	return kit.Ask(ctx, r.activator(), func(r kit.Reply[[]Steward]) activatorMsg { return all{r} })
}
