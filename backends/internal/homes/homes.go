// Package homes is what drivers have in common whose sandbox is a process of this machine that outlives the program which has
// started it (see internal/held), with a directory in which the next program finds it: its home.
//
// A driver describes itself as a Kind and gets the Homes of its state directory, which start, revive, find, end, remove and list
// sandboxes, and give an Instance of each. The Kind says how a server is placed, how one connects to it and what there is outside of
// the home; everything else is the same for all: locks, labels, epochs, the order in which things are noted, undone and removed,
// and with it what a crash between any two steps leaves. Of programs that are confined it has besides their control groups, user
// numbers and the one way out, which are the same wherever the kernel of this machine bounds them.
//
// What the driver keeps to itself is what its sandboxes are: namespaces or a kernel of their own, mounts, layers, blanks, audit.
package homes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Kind is what drivers differ in. L is their label, which has a Label in it. What may be nil says so.
type Kind[L any] struct {
	Name     string // of the backend, by which operations are named and the directory of the homes below the state directory
	First    string // what is killed in the end, for people: "the first process of the jail"
	StateDir string
	Log      *slog.Logger // nil discards

	// Common is the part of a label that all have.
	Common func(l *L) *Label
	// Confined says that sandboxes are in control groups by their marks, may have user numbers of their own, and must not be shown
	// the state directory.
	Confined bool
	// Doors gives those of a living sandbox, through which its programs get out; nil if this process lets nothing out.
	Doors func(ctx context.Context, h Home, p *held.Process) (doors.Set, error)
	// NoDoors says, where Doors is nil, why a policy cannot be changed.
	NoDoors error
	// OnConnection hears what is let out; may be nil.
	OnConnection func(id sandbox.ID, c sandbox.Connection)

	// Check refuses a spec that can never be had; nothing has been made yet. May be nil.
	Check func(spec sandbox.Spec) error
	// Conflicts says why spec cannot be had where there is the sandbox labelled l, living or dead. May be nil.
	Conflicts func(l *L, spec sandbox.Spec) error
	// Differs says why spec cannot be had while the sandbox lives. May be nil.
	Differs func(l *L, spec sandbox.Spec) error
	// Renew says in a label what is not common, of a new sandbox too, which has no mark yet and gets one if it has none then. May be nil.
	Renew func(h Home, l *L, spec sandbox.Spec)
	// Abandon ends a sandbox that lives and is of no use any more, and says whether it was such a one. May be nil.
	Abandon func(ctx context.Context, l *L, p *held.Process) (bool, error)
	// Revive makes a dead sandbox ready to be started again. May be nil.
	Revive func(ctx context.Context, h Home, l *L) error
	// Place starts a server and returns when it serves. What is not in the home it notes in l and writes before it makes it. It leaves
	// to the caller to undo what it made.
	Place func(ctx context.Context, h Home, l *L, spec sandbox.Spec, fresh bool) (*Instance[L], error)
	// Wake makes of a sandbox that lives one that runs, for whoever attaches to it; nil thaws it.
	Wake func(ctx context.Context, h Home, l *L, p *held.Process) error
	// Hear begins to tell of a living sandbox what there is to tell, where somebody has it now. May be nil.
	Hear func(ctx context.Context, h Home, l *L, p *held.Process)
	// Ended hears that a process has, which is held no more. May be nil.
	Ended func(p *held.Process)

	// Instance makes the driver's own of what all instances have.
	Instance func(i *Instance[L]) backends.Instance
	// Dial connects to the server.
	Dial func(ctx context.Context, h Home, l *L) (net.Conn, error)
	// Told is how the server ended, by how its process did.
	Told func(e held.Exit) sandbox.Exit

	// Disperse kills what a server that is about to be killed has started, where its end is not theirs. May be nil.
	Disperse func(ctx context.Context, p *held.Process) error
	// Sweep kills what is left of a sandbox whose server is dead; nil: what is in its control group.
	Sweep func(ctx context.Context, h Home, l *L) error
	// Release removes what a sandbox has outside of its home; nil: its control group, and its user numbers.
	Release func(ctx context.Context, h Home, l *L) error
	// Removed hears that a sandbox has been. May be nil.
	Removed func(ctx context.Context)
	// Listed changes what a list tells of a label. May be nil.
	Listed func(l *L)
}

// Homes are those of one driver in one state directory, with the processes that are held. Safe for concurrent use.
type Homes[L any] struct {
	kind Kind[L]
	dir  string
	log  *slog.Logger
	held.Locker

	mu     sync.Mutex
	closed bool
	living map[held.Identity]*held.Process
	ways   map[held.Identity]*way // out, of those that live
	wg     sync.WaitGroup         // what Begin has begun; grows only under mu, while not closed
}

// The beginnings of names of homes that are no sandbox's; no id begins with a dot.
const (
	gonePrefix = ".gone-" // it is being removed
	tryPrefix  = ".try-"  // it is only tried whether there can be one; locked meanwhile
)

// Open makes the directory of the homes, and clears away what was being removed or tried when a process ended. Codes: Invalid,
// Denied.
func Open[L any](k Kind[L]) (*Homes[L], error) {
	e := &Homes[L]{kind: k, log: k.Log, living: map[held.Identity]*held.Process{}, ways: map[held.Identity]*way{}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.Locker = held.Locker{Begin: e.Begin}
	dir, err := filepath.Abs(k.StateDir)
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: k.Name + ".Open", Err: err}
	}
	e.dir = filepath.Join(dir, k.Name)
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		code := sandbox.Invalid
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			code = sandbox.Denied
		}
		return nil, &sandbox.Error{Code: code, Op: k.Name + ".Open", Err: fmt.Errorf("give another state directory or change its permissions: %w", err)}
	}
	e.removeGone()
	return e, nil
}

// removeGone removes the homes that a process was removing, or trying something in, when it ended.
func (e *Homes[L]) removeGone() {
	entries, _ := os.ReadDir(e.dir)
	for _, entry := range entries {
		dir := filepath.Join(e.dir, entry.Name())
		if strings.HasPrefix(entry.Name(), gonePrefix) || strings.HasPrefix(entry.Name(), tryPrefix) && !held.Locked(dir) {
			if err := held.RemoveTree(dir); err != nil {
				e.log.Warn("what is left of a sandbox cannot be removed", "dir", entry.Name(), "err", err)
			}
		}
	}
}

// Dir is the directory of the homes, absolute.
func (e *Homes[L]) Dir() string { return e.dir }

// Log is told what a caller would not see.
func (e *Homes[L]) Log() *slog.Logger { return e.log }

// Home gives that of a sandbox, or of what has the name of none.
func (e *Homes[L]) Home(id sandbox.ID) Home { return Home(filepath.Join(e.dir, string(id))) }

// LockHome gets the lock of a home, as held.Locker has it.
func (e *Homes[L]) LockHome(ctx context.Context, h Home, make bool) (unlock func(), err error) {
	unlock, err = e.Lock(ctx, string(h), make)
	if err != nil && ctx.Err() != nil {
		err = Coded(sandbox.Canceled, fmt.Errorf("another start or stop of it is under way: %w", err))
	}
	return unlock, err
}

// Failed says in err, which is not nil, which operation of the driver's failed.
func (e *Homes[L]) Failed(op string, id sandbox.ID, err error) error {
	return Failed(e.kind.Name+"."+op, id, err)
}
