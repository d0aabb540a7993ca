// Package local places a sandbox as a process of this user on this machine: it isolates nothing and costs some
// milliseconds. It is for trusted work and for tests; what strangers send belongs in another backend.
//
// A sandbox is one sandboxd, in a session of its own, that listens on a Unix socket. It does not depend on the program
// that started it: everything about it stands in its directory below the state directory (see home), where the next
// process finds it. Its programs get a clean environment, the spec's, never that of the controller, which may hold
// secrets. As root they are held by a control group, which bounds their number and lets none escape the end of the
// sandbox; the server is not in it, so that a fork bomb leaves it able to answer. An ordinary user has RLIMIT_NPROC
// for the number, and for the end the mark that every process carries in its environment and the sessions that the
// server has noted, which a program can shake off if it sets out to. sandboxd and Linux (5.3, for pidfds) are all it
// needs.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says how sandboxes are placed. Only StateDir is needed.
type Config struct {
	// StateDir is the directory below which the sandboxes are, in local/ID; made if it is missing. Whoever uses the
	// same directory shares the sandboxes.
	StateDir string `koanf:"-"`
	// Sandboxd is the path of the server's program; "" looks beside the running program, then on PATH.
	Sandboxd string `koanf:"sandboxd"`
	// Home is HOME of the programs; "" gives each sandbox an empty directory of its own, which ends with it, so that
	// nobody's .bashrc slows it down and nothing that it configures (git, OpenHands' variables) changes a person's account.
	Home string `koanf:"home"`
	// Environ is where PATH, LANG and TZ of the sandboxes are taken from, as KEY=VALUE; what it lacks has the values of
	// a fresh login. Nothing else of it reaches a sandbox.
	Environ []string `koanf:"-"`
	// Log is told what a caller would not see; nil discards.
	Log *slog.Logger `koanf:"-"`
}

// Driver places sandboxes as processes.
type Driver struct {
	config Config
	homes  *homes.Homes[label]
	root   string // the directory of the homes
	log    *slog.Logger
}

var (
	_ backends.Driver  = (*Driver)(nil)
	_ backends.Limiter = (*Driver)(nil)
	_ backends.Remover = (*Driver)(nil)
	_ backends.Checker = (*Driver)(nil)
)

// Open opens the driver from a configuration file's values. Code: Invalid.
func Open(o backends.Options) (backends.Driver, error) {
	c := Config{StateDir: o.StateDir, Environ: o.Environ, Log: o.Log}
	if err := backends.Decode(o.Values, &c); err != nil {
		return nil, err
	}
	return New(c)
}

// New opens the driver. Code: Invalid, naming the field.
func New(c Config) (*Driver, error) {
	invalid := func(err error) (*Driver, error) {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "local.Open", Err: err}
	}
	if c.StateDir == "" {
		return invalid(errors.New("StateDir is not set"))
	}
	if c.Home != "" && !filepath.IsAbs(c.Home) {
		return invalid(fmt.Errorf("%q as Home is not an absolute path", c.Home))
	}
	d := &Driver{config: c}
	var err error
	d.homes, err = homes.Open(homes.Kind[label]{
		Name: "local", First: "sandboxd", StateDir: c.StateDir, Log: c.Log,
		Common: func(l *label) *homes.Label { return &l.Label },
		Renew:  renew, Revive: revive, Place: d.place,
		Instance: d.instance, Dial: dial, Told: homes.Told,
		Disperse: disperse, Sweep: sweep, Release: release,
	})
	if err != nil {
		return nil, err
	}
	d.root, d.log = d.homes.Dir(), d.homes.Log()
	if err := d.snapshots().Clean(); err != nil {
		d.log.Warn("what is left of snapshots cannot be removed", "err", err)
	}
	return d, nil
}

// Check says whether sandboxd can be found. Code: Invalid.
func (d *Driver) Check(context.Context) error {
	if _, err := d.sandboxd(); err != nil {
		return homes.Failed("local.Check", "", err)
	}
	return nil
}

// Start starts a sandbox, revives it if its server has died, or gives the living one. It returns when the server
// serves. When ctx ends before, what was begun is undone.
func (d *Driver) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	return d.homes.Start(ctx, spec)
}

// Attach finds a sandbox whose server lives.
func (d *Driver) Attach(ctx context.Context, id sandbox.ID) (backends.Instance, error) {
	return d.homes.Attach(ctx, id)
}

// List names the sandboxes of owner, or all.
func (d *Driver) List(ctx context.Context, owner string) ([]backends.Listed, error) {
	return d.homes.List(ctx, owner)
}

// Remove stops the sandbox and removes it, also if its server is dead. No such sandbox is no error.
func (d *Driver) Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	return d.homes.Remove(ctx, id, epoch, grace)
}

// Close lets go of all sandboxes, which live on. Idempotent.
func (d *Driver) Close() error { return d.homes.Close(nil) }

func (d *Driver) home(id sandbox.ID) home { return home{d.homes.Home(id)} }
