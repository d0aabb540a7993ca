// Package jail places a sandbox in a jail of this machine's kernel: namespaces of its own, a root of its own that cannot be
// written to, no capabilities, no way to get any, a filter for system calls, control groups. It needs no daemon, no image and
// no root, and costs some milliseconds more than a plain process; docs/isolation.md says what it promises and what not.
//
// The first process of a jail is `sandboxd stage`, which gives the jail its shape (see internal/stage) and goes on as its
// server. Whatever kills it kills everything in the jail, by the kernel, so nothing can be left over: no process, and no
// mount, which are the jail's own. What is outside of it is a directory below the state directory (see home), a control group,
// and a listening socket that is made here and handed down, so that no program in the jail can put another in its place.
//
// Started by root, a jail has user numbers of its own, and its root is nobody on the host. A workspace that the caller
// names is shown through a mapping, so that what is made there belongs, on the host, to whoever owns the workspace.
// Started by an ordinary user, a jail has that user's number and no other.
package jail

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Driver places sandboxes in jails.
type Driver struct {
	config Config
	homes  *homes.Homes[label]
	root   string // the directory of the homes
	log    *slog.Logger
	told   func() error // whether the disks of all sandboxes can be told
	looks  *audit.Looks // at files

	prepared prepared

	mu   sync.Mutex
	ears map[held.Identity]*ear // of those that live and are audited

	layering sync.Once
	noLayers string // why sandboxes cannot have layers, once that has been tried
}

var (
	_ backends.Driver   = (*Driver)(nil)
	_ backends.Limiter  = (*Driver)(nil)
	_ backends.Remover  = (*Driver)(nil)
	_ backends.Checker  = (*Driver)(nil)
	_ backends.Resident = (*Driver)(nil)
	_ backends.Rester   = (*Driver)(nil)
	_ backends.Auditor  = (*Driver)(nil)
)

// Open opens the driver from a configuration file's values. Code: Invalid.
func Open(o backends.Options) (backends.Driver, error) {
	c := Config{StateDir: o.StateDir, Environ: o.Environ, OnConnection: o.OnConnection, OnAudit: o.OnAudit, Log: o.Log}
	if err := backends.Decode(o.Values, &c); err != nil {
		return nil, err
	}
	return New(c)
}

// New opens the driver. Code: Invalid, naming the field.
func New(c Config) (*Driver, error) {
	if err := c.check(); err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "jail.Open", Err: err}
	}
	if err := c.shown().CheckHidden("jail"); err != nil {
		return nil, err
	}
	d := &Driver{config: c, ears: map[held.Identity]*ear{}, looks: audit.NewLooks()}
	d.told = sync.OnceValue(func() error {
		_, err := d.disks(label{})
		return err
	})
	var err error
	if d.homes, err = homes.Open(d.kind()); err != nil {
		return nil, err
	}
	d.root, d.log = d.homes.Dir(), d.homes.Log()
	d.removeBlanks(context.Background())
	d.removeClaims()
	d.removeCutOff()
	return d, nil
}

// kind is what is the jail's own of its homes.
func (d *Driver) kind() homes.Kind[label] {
	return homes.Kind[label]{
		Name: "jail", First: "the first process of the jail", StateDir: d.config.StateDir, Log: d.config.Log,
		Confined: true, Doors: askDoors, OnConnection: d.config.OnConnection,
		Common:    func(l *label) *homes.Label { return &l.Label },
		Check:     check,
		Conflicts: func(l *label, spec sandbox.Spec) error { return l.conflictsOfDisk(spec.Limits) },
		Differs:   differs,
		Renew:     d.renew,
		Abandon:   d.abandoned,
		Revive:    d.revive,
		Place:     d.place,
		Wake: func(ctx context.Context, h homes.Home, l *label, p *held.Process) (err error) {
			*l, err = d.wake(ctx, home{h}, *l, p)
			return err
		},
		Hear:     func(ctx context.Context, h homes.Home, l *label, p *held.Process) { d.hear(ctx, home{h}, *l, p) },
		Ended:    d.finish,
		Instance: d.instance,
		Dial:     dial,
		Told:     homes.Told,
		Removed: func(ctx context.Context) {
			if err := d.sweepLayers(ctx); err != nil { // the sandbox is removed all the same, and the next sweep tries again
				d.log.Warn("layers that nothing refers to cannot be removed", "err", err)
			}
		},
		Listed: func(l *label) {
			if len(l.Layers) > 0 && !l.Named {
				l.Workspace = "" // the host does not see it
			}
		},
	}
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

// Remove stops the sandbox and removes it, also if its server is dead. No such sandbox is no error.
func (d *Driver) Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	return d.homes.Remove(ctx, id, epoch, grace)
}

// List names the sandboxes of owner, or all.
func (d *Driver) List(ctx context.Context, owner string) ([]backends.Listed, error) {
	d.removeBlanks(ctx) // which nobody could ask for by an id
	return d.homes.List(ctx, owner)
}

// CanPause says whether sandboxes can be paused here. Code: Unsupported.
func (d *Driver) CanPause() error { return homes.CanPause() }

// CanHalt says whether a sandbox of spec keeps its files when it is halted, or nobody minds. Code: Unsupported.
func (d *Driver) CanHalt(sandbox.Spec) error {
	if d.inMemory() && !d.config.Forget {
		return homes.Coded(sandbox.Unsupported, errors.New(`its files are in memory and would be gone (backends.jail.forget = true says that they may)`))
	}
	return nil
}

// Close lets go of all sandboxes, which live on. Idempotent.
func (d *Driver) Close() error { return d.homes.Close(func() { d.prepared.close(); d.closeEars() }) }

func (d *Driver) home(id sandbox.ID) home { return home{d.homes.Home(id)} }
