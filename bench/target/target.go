// Package target is what the harness can measure: something that starts runtimes, in which commands run.
//
// A Target is the least that any system has; what only some can do is a small interface of its own, found by assertion, on
// a target (Varied, Stocked, Finder, Restorer, Standing, Controlled, Measurer) or on a runtime (Once, Interpreter, Files, Editor,
// Leaver, Rester, Snapshotter, Killer, Healer, Broadcaster, Accountant, Phased). What a target cannot do is Unsupported, and a report shows it so.
//
// Our own backends are measured as an embedder uses them, through a supervisor.System. Others are measured from
// outside, by a command line or by a protocol that they speak: nothing of theirs is in here.
package target

import (
	"context"
	"errors"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A Target is a system that can be measured. Safe for concurrent use.
type Target interface {
	About() About
	// Start gives a fresh runtime that takes commands. Codes: those of the system; Unsupported, if it cannot have what is wished.
	Start(ctx context.Context, w Wish) (Runtime, error)
	// Close ends what was started, and leaves nothing of it. Idempotent.
	Close(ctx context.Context) error
}

// About says what is measured.
type About struct {
	Name     string            // as "jail", "docker exec"
	Kind     string            // "backend", "exec", "docker", "openhands", "command"
	Settings map[string]string // what it was started with, without secrets
}

// A Wish is what a runtime shall have; zero is nothing in particular.
type Wish struct {
	PauseAfter, StopAfter time.Duration // it rests that long after its last command
	From                  string        // the snapshot that its files begin with
}

// A Runtime is one place where commands run. Safe for concurrent use.
type Runtime interface {
	ID() string
	// Run performs a command of the shell. A command that fails is no error.
	Run(ctx context.Context, command string) (Seen, error)
	// Stop ends it, and leaves nothing of it.
	Stop(ctx context.Context) error
}

// Seen is what came of a command.
type Seen struct {
	Output      string
	Exit        int
	Interrupted bool // it was running when the runtime died, and was not run again
}

// Variant is another setting of a target.
type Variant struct {
	Pool     int  // runtimes that are held ready
	Queue    int  // commands that may wait at one runtime; 0 is the usual number
	Cuttable bool // Killer can cut connections
}

// Varied is a target that can be had in another setting, beside itself, as a target of its own which the caller closes.
type Varied interface {
	Vary(ctx context.Context, v Variant) (Target, error)
}

// Stocked is a target with runtimes that are held ready: Filled waits until there are as many as there shall be.
type Stocked interface {
	Filled(ctx context.Context) error
}

// A Finder is a target that finds a runtime again which was left (see Leaver).
type Finder interface {
	Find(ctx context.Context, id string) (Runtime, error)
}

// A Restorer is a target that gives a runtime the files of a snapshot instead of its own. What was the runtime before is no more.
type Restorer interface {
	Restore(ctx context.Context, rt Runtime, snapshot string) (Runtime, error)
}

// Standing is a target whose runtimes are there before anybody measures, so that starts say nothing; it says why.
type Standing interface {
	Standing() string
}

// Controlled is a target whose controller another process can be, one that is given the order.
type Controlled interface {
	Order() Order
}

// Once is a runtime where a command has an id, under which it runs at most once however often it is asked for.
type Once interface {
	RunOnce(ctx context.Context, id, command string) (Seen, error)
}

// An Interpreter is a runtime with a live Python.
type Interpreter interface {
	Cell(ctx context.Context, code string) (output string, err error)
}

// Files is a runtime with files. A relative path is below its workspace.
type Files interface {
	Write(ctx context.Context, path string, content []byte) error
	Read(ctx context.Context, path string) (bytes int64, err error)
}

// An Editor is a runtime that replaces the one occurrence of a text in a file.
type Editor interface {
	Edit(ctx context.Context, path, old, new string) error
}

// A Leaver is a runtime that can be let go of and goes on, for a Finder.
type Leaver interface {
	Leave(ctx context.Context) error
}

// A Rester is a runtime that rests while nobody uses it. Rested returns when it does.
type Rester interface {
	Rested(ctx context.Context) error
}

// A Snapshotter is a runtime whose files can be kept.
type Snapshotter interface {
	Snapshot(ctx context.Context) (name string, err error)
}

// A Piece is a part of what makes a runtime.
type Piece string

// The pieces.
const (
	Server     Piece = "server"     // the process that performs commands
	Sandbox    Piece = "sandbox"    // all processes of the sandbox
	Connection Piece = "connection" // between the controller and the server
	Controller Piece = "controller" // the process that asks for commands
)

// A Killer is a runtime of which pieces can be killed. Kill returns when that is done; what follows is not waited for.
type Killer interface {
	Kill(ctx context.Context, p Piece) error
}

// Use is what a runtime uses of the machine.
type Use struct {
	Memory    int64         // bytes: what processes share is divided among them
	CPU       time.Duration // since each of its processes began
	Processes int
}

// A Measurer is a target that tells what each of its runtimes uses of the machine, by id. Not known is Unsupported.
type Measurer interface {
	Uses(ctx context.Context) (map[string]Use, error)
}

// A Healer is a runtime that heals: Healed tells when it first was ready after a moment, and waits for that.
type Healer interface {
	Healed(ctx context.Context, after time.Time) (time.Time, error)
}

// A Broadcaster is a runtime where many can listen to what one command prints, each over a connection of its own.
// The command runs until ctx ends or stop is called. Listen calls heard with what is printed, until its ctx ends or the connection does.
type Broadcaster interface {
	Broadcast(ctx context.Context, command string) (listen Listen, stop func(context.Context) error, err error)
}

// Listen is one listener's stay.
type Listen func(ctx context.Context, heard func(p []byte)) error

// An Account is what is on record of one command.
type Account struct{ Asked, Seen int }

// An Accountant is a runtime that keeps a record: Accounts tells what is in it, by the id of Once.
type Accountant interface {
	Accounts(ctx context.Context) (map[string]Account, error)
}

// A Phase is a step of a start. One whose name has a dot was taken out of the one that is named before it.
type Phase struct {
	Name string
	Took time.Duration
}

// Phased is a runtime that knows how its starts went, up to when it was ready: Phases are the steps of the one that has ended since a moment,
// none if none has. They follow one another.
type Phased interface {
	Phases(since time.Time) []Phase
}

// unsupported says what a target cannot do, and why.
func unsupported(op, why string) error {
	return &sandbox.Error{Code: sandbox.Unsupported, Op: op, Err: errors.New(why)}
}
