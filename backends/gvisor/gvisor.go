// Package gvisor places a sandbox in gVisor: its programs run on a kernel of their own, written in Go, which is an ordinary
// process of this machine, and what they ask of it the machine's kernel never sees. It needs root and a companion program,
// sandtree-gvisor (see there), which has gVisor linked; no daemon and no image. It starts some five times slower than a jail, and
// each call to the kernel costs more; docs/isolation.md says what it promises and what not.
//
// The companion is the first process of namespaces made for it. It puts together what the sandbox sees, starts gVisor, and
// stays as long as that lives: whatever kills it kills everything that belongs to the sandbox, by the kernel, so nothing can
// be left over, no process and no mount. Outside there is a directory below the state directory (see home) and a control
// group. To this package the companion is what the first process of a jail is to that one: its handle, its end and its exit
// code stand for the sandbox.
//
// The server inside is reached at a socket that it makes in a directory shared with it, without any call of gVisor's on the
// way but the acceptance. Programs get out through doors in the companion's network namespace, which has nothing but lo.
package gvisor

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
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Driver places sandboxes in gVisor.
type Driver struct {
	config Config
	root   string // the directory of the homes
	log    *slog.Logger
	locker held.Locker
	tree   func() cgroup.Tree

	mu     sync.Mutex
	closed bool
	living map[held.Identity]*held.Process
	ways   map[held.Identity]*way // out, of those that live
	wg     sync.WaitGroup         // what begin has begun; grows only under mu, while not closed
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
	dir, err := filepath.Abs(c.StateDir)
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "gvisor.Open", Err: err}
	}
	if err := c.checkShown(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Driver{config: c, root: filepath.Join(dir, "gvisor"), log: c.Log, living: map[held.Identity]*held.Process{}, ways: map[held.Identity]*way{}, tree: groups}
	d.locker = held.Locker{Begin: d.begin}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		code := sandbox.Invalid
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			code = sandbox.Denied
		}
		return nil, &sandbox.Error{Code: code, Op: "gvisor.Open", Err: fmt.Errorf("give another state directory or change its permissions: %w", err)}
	}
	d.removeGone()
	d.removeClaims()
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
		err = d.thaw(ctx, l)
	}
	if err != nil {
		return nil, failed("gvisor.Attach", id, err)
	}
	if err := d.letOut(h, l, p); err != nil { // what asks for it cannot be helped by refusing the rest
		d.log.Warn("the programs of a sandbox cannot get out", "id", id, "err", err)
	}
	return d.instance(h, l, p, key), nil
}

// Close lets go of all sandboxes, which live on. Idempotent.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	living, ways := d.living, d.ways
	d.living, d.ways = nil, nil
	d.mu.Unlock()
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
		w := d.ways[p.Identity]
		delete(d.living, p.Identity) // of a closed driver they are nil, which is fine
		delete(d.ways, p.Identity)
		d.mu.Unlock()
		if w != nil {
			w.close()
		}
	})
}

// removeGone removes the homes that a process was removing, or trying gVisor in, when it ended.
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
