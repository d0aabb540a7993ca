// Package gvisor places a sandbox in gVisor: its programs run on a kernel of their own, written in Go, which is an ordinary
// process of this machine, and what they ask of it the machine's kernel never sees. It needs root and a companion program,
// sandtree-gvisor (see there), which has gVisor linked; no daemon and no image. It starts some five times slower than a jail, and
// each call to the kernel costs more; docs/isolation.md says what it promises and what not.
//
// The companion is the first process of namespaces made for it. It puts together what the sandbox sees, starts gVisor, and
// stays as long as that lives: whatever kills it kills everything that belongs to the sandbox, by the kernel, so nothing can
// be left over, no process and no mount. Outside there is a directory below the state directory (see boxDir) and a control
// group. To this package the companion is what the first process of a jail is to that one: its handle, its end and its exit
// code stand for the sandbox.
//
// The server inside is reached at a socket that it makes in a directory shared with it, without any call of gVisor's on the
// way but the acceptance. Programs get out through doors in the companion's network namespace, which has nothing but lo.
package gvisor

import (
	"context"
	"errors"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// label is what a home says of its sandbox.
type label = homes.Label

// Driver places sandboxes in gVisor.
type Driver struct {
	config Config
	homes  *homes.Homes[label]
}

var (
	_ backends.Driver   = (*Driver)(nil)
	_ backends.Limiter  = (*Driver)(nil)
	_ backends.Remover  = (*Driver)(nil)
	_ backends.Checker  = (*Driver)(nil)
	_ backends.Resident = (*Driver)(nil)
)

// Open opens the driver from a configuration file's values. Code: Invalid.
func Open(o backends.Options) (backends.Driver, error) {
	c := Config{StateDir: o.StateDir, Environ: o.Environ, OnConnection: o.OnConnection, Log: o.Log}
	if err := backends.Decode(o.Values, &c); err != nil {
		return nil, err
	}
	return New(c)
}

// New opens the driver. Code: Invalid, naming the field.
func New(c Config) (*Driver, error) {
	if err := c.check(); err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "gvisor.Open", Err: err}
	}
	if err := c.shown().CheckHidden("gvisor"); err != nil {
		return nil, err
	}
	d := &Driver{config: c}
	kind := homes.Kind[label]{
		Name: "gvisor", First: "the companion", StateDir: c.StateDir, Log: c.Log, Confined: true, OnConnection: c.OnConnection,
		Common:   func(l *label) *label { return l },
		Differs:  differs,
		Revive:   revive,
		Place:    d.place,
		Instance: func(i *homes.Instance[label]) backends.Instance { return homes.Confined[label]{Instance: i} },
		Dial:     dial,
		Told:     told,
	}
	if c.Network == networkNone {
		kind.NoDoors = errors.New("it has no network; set backends.gvisor.network to \"filtered\", and start another")
	} else {
		kind.Doors = openDoors
	}
	var err error
	if d.homes, err = homes.Open(kind); err != nil {
		return nil, err
	}
	d.homes.RemoveClaims(nil)
	return d, nil
}

// Resident says that the sandboxes use up this machine.
func (d *Driver) Resident() bool { return true }

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

// CanPause says whether sandboxes can be paused here. Code: Unsupported.
func (d *Driver) CanPause() error { return homes.CanPause() }

// CanHalt says whether a sandbox of spec keeps its files when it is halted.
func (d *Driver) CanHalt(sandbox.Spec) error { return nil }

// Close lets go of all sandboxes, which live on. Idempotent.
func (d *Driver) Close() error { return d.homes.Close(nil) }
