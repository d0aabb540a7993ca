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
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/held"
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
	root   string // the directory of the homes
	log    *slog.Logger
	locker held.Locker

	mu     sync.Mutex
	closed bool
	living map[held.Identity]*held.Process
	wg     sync.WaitGroup // what begin has begun; grows only under mu, while not closed
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
	dir, err := filepath.Abs(c.StateDir)
	if err != nil {
		return invalid(err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Driver{config: c, root: filepath.Join(dir, "local"), log: c.Log, living: map[held.Identity]*held.Process{}}
	d.locker = held.Locker{Begin: d.begin}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		code := sandbox.Invalid
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			code = sandbox.Denied
		}
		return nil, &sandbox.Error{Code: code, Op: "local.Open", Err: fmt.Errorf("give another state directory or change its permissions: %w", err)}
	}
	d.removeGone()
	if err := d.snapshots().Clean(); err != nil {
		d.log.Warn("what is left of snapshots cannot be removed", "err", err)
	}
	return d, nil
}

// Check says whether sandboxd can be found. Code: Invalid.
func (d *Driver) Check(context.Context) error {
	if _, err := d.sandboxd(); err != nil {
		return failed("local.Check", "", err)
	}
	return nil
}

// Attach finds a sandbox whose server lives.
func (d *Driver) Attach(_ context.Context, id sandbox.ID) (backends.Instance, error) {
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
	if err != nil {
		return nil, failed("local.Attach", id, err)
	}
	return d.instance(h, l, p, key), nil
}

// List names the sandboxes of owner, or all.
func (d *Driver) List(_ context.Context, owner string) ([]backends.Listed, error) {
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return nil, failed("local.List", "", err)
	}
	var list []backends.Listed
	for _, e := range entries {
		id := sandbox.ID(e.Name())
		if id.Check() != nil {
			continue // being removed
		}
		h := d.home(id)
		l, err := h.read()
		switch {
		case errors.Is(err, fs.ErrNotExist) && h.exited(): // else it is being made
			l = label{ID: id, Created: modified(e)} // its start was cut off, or its removal
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			d.log.Warn("the label of a sandbox cannot be read", "id", id, "err", err)
			continue
		}
		if owner != "" && l.Owner != owner {
			continue
		}
		list = append(list, backends.Listed{
			ID: l.ID, Owner: l.Owner, Epoch: l.Epoch, Created: l.Created, Workspace: l.Workspace, Exited: h.exited(),
		})
	}
	return list, nil
}

func modified(e fs.DirEntry) time.Time {
	info, err := e.Info()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC()
}

// Close lets go of all sandboxes, which live on. Idempotent.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	living := d.living
	d.living = nil
	d.mu.Unlock()
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
		delete(d.living, p.Identity) // of a closed driver it is nil, which is fine
		d.mu.Unlock()
	})
}

// removeGone removes the homes that a process was removing when it ended.
func (d *Driver) removeGone() {
	entries, _ := os.ReadDir(d.root)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), gonePrefix) {
			if err := held.RemoveTree(filepath.Join(d.root, e.Name())); err != nil {
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
