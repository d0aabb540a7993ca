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
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Driver places sandboxes in jails.
type Driver struct {
	config Config
	root   string // the directory of the homes
	log    *slog.Logger
	locker held.Locker
	tree   func() cgroup.Tree
	told   func() error // whether the disks of all sandboxes can be told

	mu      sync.Mutex
	closed  bool
	living  map[held.Identity]*held.Process
	ways    map[held.Identity]*way          // out, of those that live
	ears    map[held.Identity]*ear          // of those that are audited
	keepers map[held.Identity]*held.Process // by their own identity
	looks   *audit.Looks                    // at files
	wg      sync.WaitGroup                  // what begin has begun; grows only under mu, while not closed

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
	dir, err := filepath.Abs(c.StateDir)
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "jail.Open", Err: err}
	}
	if err := c.checkShown(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Driver{config: c, root: filepath.Join(dir, "jail"), log: c.Log, living: map[held.Identity]*held.Process{}, ways: map[held.Identity]*way{},
		ears: map[held.Identity]*ear{}, keepers: map[held.Identity]*held.Process{}, looks: audit.NewLooks(), tree: tree}
	d.told = sync.OnceValue(func() error {
		_, err := d.disks(label{})
		return err
	})
	d.locker = held.Locker{Begin: d.begin}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		code := sandbox.Invalid
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			code = sandbox.Denied
		}
		return nil, &sandbox.Error{Code: code, Op: "jail.Open", Err: fmt.Errorf("give another state directory or change its permissions: %w", err)}
	}
	d.removeGone()
	d.removeBlanks(context.Background())
	d.removeClaims()
	d.removeCutOff()
	return d, nil
}

// Resident says that the sandboxes use up this machine.
func (d *Driver) Resident() bool { return true }

// Attach finds a sandbox whose server lives.
func (d *Driver) Attach(ctx context.Context, id sandbox.ID) (backends.Instance, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	h := d.home(id)
	l, err := h.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = errRemoved
	}
	var p *held.Process
	if err == nil {
		p, err = d.server(h)
	}
	var key string
	if err == nil {
		key, err = h.key()
	}
	if err == nil {
		l, err = d.wake(ctx, h, l, p)
	}
	if err != nil {
		return nil, failed("jail.Attach", id, err)
	}
	if err := d.letOut(ctx, h, l, p); err != nil { // what asks for it cannot be helped by refusing the rest
		d.log.Warn("the programs of a sandbox cannot get out", "id", id, "err", err)
	}
	d.hear(ctx, h, l, p)
	return d.instance(h, l, p, key), nil
}

// Close lets go of all sandboxes, which live on. Idempotent.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	living, ways, ears, keepers := d.living, d.ways, d.ears, d.keepers
	d.living, d.ways, d.ears, d.keepers = nil, nil, nil, nil
	d.mu.Unlock()
	for _, e := range ears {
		e.close()
	}
	for _, p := range keepers {
		p.Close()
	}
	for _, w := range ways {
		w.close()
	}
	for _, p := range living {
		p.Close()
	}
	d.wg.Wait()
	return nil
}

func (d *Driver) home(id sandbox.ID) home { return home(filepath.Join(d.root, string(id))) }

// begin runs f in a goroutine that Close waits for; false if there was a Close already.
func (d *Driver) begin(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.wg.Go(f)
	return true
}

// server gives the living server of a home. held.ErrEnded if there is none.
func (d *Driver) server(h home) (*held.Process, error) {
	id, ok := h.server()
	if !ok {
		return nil, held.ErrEnded
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, held.ErrClosed
	}
	if p, ok := d.living[id]; ok {
		if !p.Alive() {
			return nil, held.ErrEnded
		}
		return p, nil
	}
	p, err := held.Open(id, h.exitFile())
	if err != nil {
		return nil, err
	}
	d.keepLocked(p)
	return p, nil
}

// keep takes p into those held, and watches it.
func (d *Driver) keep(p *held.Process) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return held.ErrClosed
	}
	d.keepLocked(p)
	return nil
}

func (d *Driver) keepLocked(p *held.Process) {
	d.living[p.Identity] = p
	d.wg.Go(func() {
		p.Watch()
		d.mu.Lock()
		w, e := d.ways[p.Identity], d.ears[p.Identity]
		delete(d.living, p.Identity) // of a closed driver they are nil, which is fine
		delete(d.ways, p.Identity)
		delete(d.ears, p.Identity)
		d.mu.Unlock()
		if e != nil {
			defer e.finish()
		}
		if w != nil {
			w.close()
		}
	})
}

// removeGone removes the homes that a process was removing, or trying a jail in, when it ended.
func (d *Driver) removeGone() {
	entries, _ := os.ReadDir(d.root)
	for _, e := range entries {
		dir := filepath.Join(d.root, e.Name())
		if strings.HasPrefix(e.Name(), gonePrefix) || strings.HasPrefix(e.Name(), tryPrefix) && !held.Locked(dir) {
			if err := held.RemoveTree(dir); err != nil {
				d.log.Warn("what is left of a sandbox cannot be removed", "dir", e.Name(), "err", err)
			}
		}
	}
}

// lock gets the lock of a home.
func (d *Driver) lock(ctx context.Context, h home, make bool) (unlock func(), err error) {
	unlock, err = d.locker.Lock(ctx, string(h), make)
	if err != nil && ctx.Err() != nil {
		err = coded{sandbox.Canceled, fmt.Errorf("another start or stop of it is under way: %w", err)}
	}
	return unlock, err
}
