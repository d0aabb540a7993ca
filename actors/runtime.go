package actors

import (
	"context"
	"sync"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// A runtime holds the sandbox: it attaches to it or starts it, sets it up, and carries out what its steward hands it,
// one thing at a time. It fails when the sandbox does, and the next incarnation begins by looking for the sandbox again.

// Messages.
type (
	runtimeMsg interface{ runtimeMsg() } // sealed: those below and no other

	// From the steward. gen is its count of incarnations: what was meant for an earlier one is not heeded.
	open struct {
		birth
		gen      int
		spec     sandbox.Spec
		env      map[string]string // that was added since
		building bool              // it was stopped before, not restarting
		setUp    bool              // the sandbox, if there is one, has been set up to the end
	}
	execute struct {
		gen  int
		work work
	}
	signal struct {
		kit.Reply[struct{}]
		gen int
		id  string
	}

	// Ends of tasks.
	placed struct {
		sandbox Sandbox
		cold    bool // its server was started
		err     error
	}
	furnished struct { // the workspace is set up
		root string
		err  error
	}
	hooked struct{ err error }
	worked struct{ err error } // of the sandbox, if it fails
)

func (open) runtimeMsg()      {}
func (execute) runtimeMsg()   {}
func (signal) runtimeMsg()    {}
func (placed) runtimeMsg()    {}
func (furnished) runtimeMsg() {}
func (hooked) runtimeMsg()    {}
func (worked) runtimeMsg()    {}

// State. Only Receive and what it calls touch it; tasks get what they need handed.
type runtime struct {
	cfg     Config
	id      sandbox.ID
	backend Backend
	steward kit.Ref[stewardMsg]

	order   open // zero before it has come
	custody custody
	sandbox Sandbox
	set     bool // the set-up has to be done
	ready   bool
}

// Receive implements kit.Actor.
func (r *runtime) Receive(c *kit.Context[runtimeMsg], m runtimeMsg) error {
	switch m := m.(type) {
	case open:
		r.order = m
		if m.building {
			r.say(moved{status: sandbox.StatusBuildingRuntime}) // images are the driver's affair, and part of its Start
		}
		r.say(moved{status: sandbox.StatusStartingRuntime})
		c.Task(func(ctx context.Context) runtimeMsg { return r.place(m.context(ctx), m) })
	case placed:
		return r.placed(c, m)
	case furnished:
		return r.furnished(c, m)
	case hooked:
		if m.err != nil {
			return m.err
		}
		r.ready = true
		r.steward.Tell(prepared{r.order.gen, r.sandbox, r.order.phases()})
	case execute:
		if m.gen == r.order.gen && r.ready {
			r.execute(c, m.work)
		}
	case signal:
		r.signal(c, m)
	case worked:
		return m.err
	}
	return nil
}

// Stopped lets go of the sandbox, which also ends what tasks wait for.
func (r *runtime) Stopped(*kit.Context[runtimeMsg], error) { r.custody.close() }

func (r *runtime) say(m moved) {
	m.gen = r.order.gen
	r.steward.Tell(m)
}

// attachTimeout bounds the search for a sandbox from before: one that lives answers within milliseconds, one that was
// moved to another machine within seconds; one that hangs never does, and Start has means against that.
const attachTimeout = 10 * time.Second

// place finds the sandbox, or starts it.
func (r *runtime) place(ctx context.Context, o open) runtimeMsg {
	bounded, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	s, err := r.backend.Attach(bounded, r.id, o.spec.Epoch)
	if err == nil {
		r.custody.put(s)
		return placed{sandbox: s}
	}
	if ctx.Err() != nil || Fatal(err) {
		return placed{err: err}
	}
	s, birth, err := r.backend.Start(ctx, o.spec)
	if err != nil {
		return placed{err: err}
	}
	r.custody.put(s)
	if birth.Forgetful {
		r.steward.Tell(forgotten{o.gen})
	}
	return placed{sandbox: s, cold: !birth.Found} // what did not answer in time may do so now
}

func (r *runtime) placed(c *kit.Context[runtimeMsg], m placed) error {
	if m.err != nil {
		return m.err
	}
	r.sandbox = m.sandbox
	r.set = m.cold || !r.order.setUp
	renewal := renewalMax
	if o := r.order.spec.OrphanAfter; o > 0 {
		renewal = min(renewal, o/4)
	}
	_, err := kit.SpawnChild(c, "probe", kit.Permanent, func() kit.Actor[probeMsg] {
		return &probe{sandbox: m.sandbox, interval: r.cfg.Interval, maxMisses: r.cfg.Misses, renewal: renewal}
	})
	if err != nil {
		return err
	}
	r.say(moved{status: sandbox.StatusRuntimeStarted, cold: r.set, unenforced: m.sandbox.Unenforced()})
	r.say(moved{status: sandbox.StatusSettingWorkspace})
	if !r.set {
		c.Task(func(context.Context) runtimeMsg { return furnished{} })
		return nil
	}
	f := furnisher{sandbox: m.sandbox, spec: r.order.spec, env: r.order.env}
	birth := r.order.birth
	c.Task(func(ctx context.Context) runtimeMsg {
		ctx, end := trace.Step(birth.context(ctx), sandbox.PhaseSetUp)
		root, err := f.workspace(ctx)
		end(err)
		return furnished{root, err}
	})
	return nil
}

func (r *runtime) furnished(c *kit.Context[runtimeMsg], m furnished) error {
	if m.err != nil {
		return m.err
	}
	r.say(moved{status: sandbox.StatusSettingGitHooks})
	f := furnisher{sandbox: r.sandbox, spec: r.order.spec}
	set, birth := r.set, r.order.birth
	c.Task(func(ctx context.Context) runtimeMsg {
		if !set {
			return hooked{}
		}
		ctx, end := trace.Step(birth.context(ctx), sandbox.PhaseHooks)
		err := f.hooks(ctx, m.root)
		end(err)
		return hooked{err}
	})
	return nil
}

func (r *runtime) execute(c *kit.Context[runtimeMsg], w work) {
	p := performer{
		store: r.cfg.Store, id: r.id, epoch: r.order.spec.Epoch, sandbox: r.sandbox, steward: r.steward, gen: r.order.gen, log: r.cfg.Log,
	}
	c.Task(func(ctx context.Context) runtimeMsg { return worked{p.perform(ctx, w)} })
}

func (r *runtime) signal(c *kit.Context[runtimeMsg], m signal) {
	if m.gen != r.order.gen || !r.ready {
		m.Err(failure(sandbox.Unavailable, "runtime.Interrupt", r.id, "the runtime is restarting"))
		return
	}
	s := r.sandbox
	c.Task(func(ctx context.Context) runtimeMsg {
		if err := s.Interrupt(ctx, m.id); err != nil {
			m.Err(err)
		} else {
			m.OK(struct{}{})
		}
		return worked{}
	})
}

// custody holds the sandbox's client between the task that brings it and the actor, one of which may end before.
type custody struct {
	mu     sync.Mutex
	s      Sandbox
	closed bool
}

// put takes s, or closes it if nobody will any more.
func (c *custody) put(s Sandbox) {
	c.mu.Lock()
	c.s = s
	closed := c.closed
	c.mu.Unlock()
	if closed {
		_ = s.Close() // lets go of connections; there is nothing to do about a failure
	}
}

func (c *custody) close() {
	c.mu.Lock()
	s := c.s
	c.closed = true
	c.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}
