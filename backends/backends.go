// Package backends turns a driver, which only places sandboxes on one infrastructure, into a backend, which gives
// sandboxes that answer.
//
// A Driver is short: start, attach, list. What every driver would have to do alike stands in Backend, once: the spec is
// checked, limits that the driver cannot enforce are refused, what may be retried is retried, the server inside is
// waited for and told which activation it works for, and each error says which operation on which sandbox failed.
// A driver hands back a dialer, not an address: ports, tunnels and credentials stay its own affair. What only some can
// do is a small interface of its own, found by assertion: on a driver Limiter, Resident, Remover, Checker, Rester, Auditor, Builder, SnapshotKeeper,
// SnapshotMover and io.Closer, on an instance Keyed, Fresh, Found, Served, Halter, Labeler, Filtered, Attentive, Pauser, Snapshotter, LogStreamer and
// PortExposer.
//
// Three ways to part from a sandbox must not be confused. Closing lets go of it: it lives on, and the next process can
// attach. Halting ends its processes, but Start with the same id revives it, with its workspace and its memory of what
// it has already done. Stopping ends it for good.
package backends

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A Driver places sandboxes on one kind of infrastructure. Safe for concurrent use, also by several processes.
type Driver interface {
	// Start is idempotent on spec.ID and returns once the infrastructure has accepted the sandbox, which may be before
	// the server inside answers. Where a sandbox of that id exists and lives, it is that one; where its server has
	// died, it is revived with the same workspace. A start that fails leaves nothing that was not there before.
	// Codes: Invalid, Conflict (a newer epoch holds it, or it has another workspace), Denied, Exhausted, Unavailable.
	Start(ctx context.Context, spec sandbox.Spec) (Instance, error)
	// Attach finds an instance started earlier, perhaps by a process now dead. Code: NotFound, also of an exited one.
	Attach(ctx context.Context, id sandbox.ID) (Instance, error)
	// List names every instance labelled with owner, exited ones too: after a crash it is how orphans are found.
	// Owner "" is everybody.
	List(ctx context.Context, owner string) ([]Listed, error)
}

// An Instance is one placed sandbox.
type Instance interface {
	// Dial connects to the server inside. Code: Unavailable.
	Dial(ctx context.Context) (net.Conn, error)
	// Wait returns how the sandbox ended; any number of callers, before or after. Code: Canceled.
	Wait(ctx context.Context) (sandbox.Exit, error)
	// Stop asks the sandbox to end, kills it after the grace, and everything in it; then nothing is left but a
	// workspace that the spec named. Idempotent. When ctx ends, the grace ends with it, but not the cleaning up.
	// Code: Conflict (a newer epoch holds it: it is not the caller's to end).
	Stop(ctx context.Context, grace time.Duration) error
}

// Listed is what List tells of one instance. What the infrastructure does not know is zero.
type Listed struct {
	ID        sandbox.ID
	Owner     string
	Epoch     uint64
	Created   time.Time
	Exited    bool   // its server has ended; Start revives it, Backend.Remove clears it away
	Workspace string // on the host; "" where the host does not see it
}

// A Limiter is a driver that enforces some limits: it names them as LimitNames does. One that is no Limiter enforces none.
type Limiter interface{ Enforces() []string }

// A Remover is a driver that can stop a sandbox by its id, also one whose server is dead. epoch is that of whoever wants it
// gone. No such sandbox is no error. Code: Conflict (a newer epoch holds it: it is not the caller's to remove).
type Remover interface {
	Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error
}

// AnyEpoch is the epoch of one who removes a sandbox whoever holds it.
const AnyEpoch = math.MaxUint64

// A Checker is a driver that can say whether the machine has what it needs, and if not, what to do.
type Checker interface {
	Check(ctx context.Context) error
}

// Keyed is an instance whose server asks for a key.
type Keyed interface{ Key() string }

// Fresh is an instance that knows whether the Start that returned it made it, and did not find or revive it.
type Fresh interface{ Fresh() bool }

// Found is an instance that knows whether the Start that returned it found the sandbox alive, and neither made nor revived
// its server.
type Found interface{ Found() bool }

// Served is an instance that knows whether the Start that returned it has seen the server ready, so that nobody has to
// ask again.
type Served interface{ Served() bool }

// A Halter is an instance whose processes can be ended, by force, while what Start needs to revive it is kept.
// Code: Conflict, as of Stop.
type Halter interface {
	Halt(ctx context.Context) error
}

// A Labeler is an instance whose epoch label can be raised. Code: Conflict if it is higher already.
type Labeler interface {
	Relabel(ctx context.Context, epoch uint64) error
}

// A Pauser is an instance whose processes, the server too, can be stopped where they are: they keep their memory, use no CPU
// and answer nothing until they are let go on. Both are idempotent. Start and Attach give a paused sandbox resumed, and Stop
// and Halt end one. Codes: NotFound (it has ended), Unsupported, Unavailable, Canceled.
type Pauser interface {
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
}

// A LogStreamer is an instance that keeps what its server says. follow goes on with what it will say, until it ends or ctx
// does. The caller closes what it gets. Codes: NotFound, Unavailable, Canceled.
type LogStreamer interface {
	Logs(ctx context.Context, follow bool) (io.ReadCloser, error)
}

// A PortExposer is an instance that opens ports of the sandbox to its own host: it gives the address, HOST:PORT, at which each
// is reached now, by the port inside, as in "3000/tcp". Codes: NotFound, Unavailable, Canceled.
type PortExposer interface {
	Ports(ctx context.Context) (map[string]string, error)
}

// A Builder is a driver that can make an image for its sandboxes. It returns the image's name, or its id if it has none.
// Codes: Invalid (the build failed, or has no Dockerfile), Denied, Exhausted, Unavailable, Canceled.
type Builder interface {
	Build(ctx context.Context, b Build) (image string, err error)
}

// Build says what image is wanted.
type Build struct {
	Dir        string            // directory that the image is built from, on this machine
	Dockerfile string            // below Dir; "" means Dockerfile
	Tags       []string          // names that the image gets
	Args       map[string]string // values of ARG; they can be read out of the image: no place for secrets
	Target     string            // stage that is wanted; "" is the last
	NoCache    bool
	Pull       bool              // look for newer base images
	Output     func(line string) // hears what the build says, if not nil
}

// Options are what a driver is opened with.
type Options struct {
	StateDir string         // where it keeps what the next process must find
	Environ  []string       // KEY=VALUE: this program's environment, from which a driver takes what it needs by name
	Values   map[string]any // its part of the configuration, for Decode
	// OnConnection, if not nil, hears what the sandboxes that are Filtered do on the network: at most some ten events
	// per second and sandbox, one call at a time for each sandbox.
	OnConnection func(id sandbox.ID, c sandbox.Connection)
	// OnAudit, if not nil, hears what the sandboxes whose spec has an Audit do, as often as that says, one call at a time for each
	// sandbox. It returns nil once all the records are on record; what it did not take it is told again, as far as there is room for
	// what waits, and of what there is not, how much it was. What a process was not told that had the sandbox before, the next one
	// is; and, if that one was killed, a few of its last records once more.
	OnAudit func(id sandbox.ID, records []sandbox.AuditRecord) error
	// OnProgress, if not nil, hears how the pulling and building of images goes. It must not wait.
	OnProgress func(Progress)
	Log        *slog.Logger // nil discards
}

// Progress is how far the pulling or building of an image is.
type Progress struct {
	ID    sandbox.ID // of the sandbox whose start needs it; of several, the first; "" if none does
	Image string
	Step  Step
	Text  string // what the infrastructure says: "Downloading", "Step 2/5 : RUN make"
	Done  int64  // bytes, of a pull
	Total int64  // bytes as far as they are known; more of them become known
	Ended bool
	Err   error // why it failed, once it has ended
}

// Step is what is done with an image.
type Step string

// The steps.
const (
	StepPull  Step = "pull"
	StepBuild Step = "build"
)

// OpenFunc opens a driver. Code: Invalid, naming the value that is wrong.
type OpenFunc func(Options) (Driver, error)
