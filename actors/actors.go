// Package actors holds the actors that look after sandboxes.
//
//	activator           which runtimes there are; restarts stewards
//	└─ steward <id>     answers for its runtime at all times; no I/O in its mailbox
//	   └─ runtime       holds the sandbox, carries out one action at a time
//	      └─ probe      asks for signs of life, and fails when there are none
//	herald              calls the embedder's function, in order
//	janitor             ends the sandboxes of a backend that nobody drives any more
//
// There are two levels per runtime, because an actor that is being restarted cannot answer, and somebody must: the
// steward survives the runtime's death, says what is going on ("restart 3 of 5, next at …"), keeps the queue, and sees to
// it that the action in flight is settled. Nothing in these actors waits: journal, sandbox and driver are called from
// tasks, whose results come back as messages.
//
// # States
//
// A runtime is in one of these states, and moves along these arrows only (state.go has them as a table):
//
//	           open, reopen
//	STOPPED ────────────────▶ BUILDING_RUNTIME
//	   ▲                            │ the image is there (where there is one)
//	   │                            ▼
//	   │    ┌──────────────▶ STARTING_RUNTIME
//	   │    │                       │ attached to the sandbox, or started it
//	   │    │                       ▼
//	   │    │                RUNTIME_STARTED
//	   │    │                       │ the server inside works for us
//	   │    │                       ▼
//	   │    │              SETTING_UP_WORKSPACE
//	   │    │                       │ environment, repository, .openhands/setup.sh
//	   │    │                       ▼
//	   │    │              SETTING_UP_GIT_HOOKS
//	   │    │                       │ .openhands/pre-commit.sh
//	   │    │ back-off is over      ▼
//	   │    │                     READY
//	   │    │                       │
//	   │    └─────── ERROR ◀────────┤ the runtime failed, from any state after STOPPED, and will be restarted
//	   │         (recovering)       │
//	   │                            │ it failed, and will not: restarts are spent, or no restart mends it
//	   └─── ERROR, ERROR_MEMORY, ◀──┘
//	        ERROR_RUNTIME_DISCONNECTED
//
// From every state closing (let go of the sandbox, or end it) leads to STOPPED, and from READY to be unused for long (idle.go). A step that has nothing to do, such as the
// set-up of a sandbox that was only attached to, is passed through, not left out. What STOPPED came of is kept, and a
// stopped runtime can be reopened.
//
// # Once
//
// An action is recorded before it is sent, and its observation before anybody sees it. When something dies in between,
// the next to drive the runtime asks the sandbox's own record what became of the action: it is done (the observation is
// recorded), it runs (it is joined), it was cut off, or it never arrived. Only an action that certainly never began is
// sent again. Who asks again under the same id gets the same answer.
package actors

import (
	"context"
	"errors"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport"
)

// Sandbox is what a runtime does with a placed sandbox.
type Sandbox interface {
	sandbox.Runtime
	Settle(ctx context.Context, actionID string, out sandbox.Output) (sandbox.Observation, error)
	Interrupt(ctx context.Context, actionID string) error
	Renew(ctx context.Context) error
	SetEnv(ctx context.Context, vars map[string]string) error // of shells to come
	SetEgress(ctx context.Context, e sandbox.Egress) error    // now. Code: Unsupported
	Traffic() (sandbox.Traffic, error)                        // Code: Unsupported
	Halt(ctx context.Context) error                           // end its processes by force; Start revives it. Code: Unsupported
	Pause(ctx context.Context) error                          // stop its processes where they are; Attach lets them go on. Code: Unsupported
	Terminal(ctx context.Context, cols, rows uint16) (*transport.Terminal, error)
	Wait(ctx context.Context) (sandbox.Exit, error)
	Close() error
	Unenforced() []string
	BreakerState() string // "closed", "half-open" or "open"
}

// Backend is where sandboxes come from. Place makes one.
type Backend interface {
	Name() string
	Start(ctx context.Context, spec sandbox.Spec) (Sandbox, Birth, error)
	Attach(ctx context.Context, id sandbox.ID, epoch uint64) (Sandbox, error)
	Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error
}

// Birth says what a start has come upon.
type Birth struct {
	Forgetful bool // the sandbox's record of actions may begin with this start, so that it cannot tell of earlier ones
	Found     bool // the sandbox lived, so that what was done to its shell is done
}

// Place makes a Backend of a backend.
func Place(b *backends.Backend) Backend { return place{b} }

type place struct{ *backends.Backend }

func (p place) Start(ctx context.Context, spec sandbox.Spec) (Sandbox, Birth, error) {
	s, err := p.Backend.Start(ctx, spec)
	if err != nil {
		return nil, Birth{}, err
	}
	fresh, ok := s.Instance().(backends.Fresh)
	birth := Birth{Forgetful: !ok || fresh.Fresh()}
	if found, ok := s.Instance().(backends.Found); ok {
		birth.Found = found.Found()
	}
	return occupied{s}, birth, nil
}

func (p place) Attach(ctx context.Context, id sandbox.ID, epoch uint64) (Sandbox, error) {
	s, err := p.Backend.Attach(ctx, id, epoch)
	if err != nil {
		return nil, err
	}
	return occupied{s}, nil
}

// occupied is a *backends.Sandbox as a Sandbox.
type occupied struct{ *backends.Sandbox }

func (o occupied) BreakerState() string {
	state, _ := o.Breaker()
	return state.String()
}

// Store is what the actors ask of the journal. Keep makes one.
type Store interface {
	Acquire(ctx context.Context, id sandbox.ID, owner string, ttl time.Duration) (Lease, error)
	Append(ctx context.Context, id sandbox.ID, epoch uint64, recs ...journal.Record) (uint64, error)
	Log(ctx context.Context, id sandbox.ID, epoch uint64, recs ...journal.Record) error
	FindAction(ctx context.Context, id sandbox.ID, actionID string) (action, observation *journal.Record, err error)
	Unsettled(ctx context.Context, id sandbox.ID) ([]journal.Record, error)
	LastActive(ctx context.Context, id sandbox.ID) (time.Time, error)
	Runtime(ctx context.Context, id sandbox.ID) (journal.RuntimeRow, error)
	SaveRuntime(ctx context.Context, row journal.RuntimeRow) error
}

// Lease is the right to drive one runtime.
type Lease interface {
	Epoch() uint64
	Renew(ctx context.Context) error
	Release(ctx context.Context) error
}

// Keep makes a Store, and a Registry, of a journal.
func Keep(j *journal.Journal) Registry { return keep{j} }

type keep struct{ *journal.Journal }

func (k keep) Acquire(ctx context.Context, id sandbox.ID, owner string, ttl time.Duration) (Lease, error) {
	return k.Journal.Acquire(ctx, id, owner, ttl)
}

// ExitError is the failure of a runtime whose sandbox has ended.
type ExitError struct{ Exit sandbox.Exit }

func (e *ExitError) Error() string { return "the sandbox has ended: " + e.Exit.String() }

// Fatal says whether err is a failure of a runtime that no restart mends: the request is wrong, not allowed or not
// possible, or another controller has taken over.
func Fatal(err error) bool {
	switch sandbox.CodeOf(err) {
	case sandbox.Invalid, sandbox.Denied, sandbox.Unsupported, sandbox.Conflict:
		return true
	}
	return false
}

func failure(code sandbox.Code, op string, id sandbox.ID, why string) error {
	return &sandbox.Error{Code: code, Op: op, ID: id, Err: errors.New(why)}
}
