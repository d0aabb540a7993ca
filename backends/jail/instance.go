package jail

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// instance is one sandbox and the server that it had when the instance was got.
type instance struct {
	d       *Driver
	home    home
	label   label
	epoch   atomic.Uint64 // that it was got for, or raised to
	process *held.Process
	key     string
	fresh   bool
	found   bool
	served  bool
}

var (
	_ backends.Instance  = (*instance)(nil)
	_ backends.Keyed     = (*instance)(nil)
	_ backends.Fresh     = (*instance)(nil)
	_ backends.Found     = (*instance)(nil)
	_ backends.Served    = (*instance)(nil)
	_ backends.Halter    = (*instance)(nil)
	_ backends.Labeler   = (*instance)(nil)
	_ backends.Pauser    = (*instance)(nil)
	_ backends.Filtered  = (*instance)(nil)
	_ backends.Attentive = (*instance)(nil)
)

func (d *Driver) instance(h home, l label, p *held.Process, key string) *instance {
	i := &instance{d: d, home: h, label: l, process: p, key: key}
	i.epoch.Store(l.Epoch)
	return i
}

// Key is what the server asks for.
func (i *instance) Key() string { return i.key }

// Fresh says whether the Start that gave the instance made the sandbox.
func (i *instance) Fresh() bool { return i.fresh }

// Found says whether the Start that gave the instance found its server alive.
func (i *instance) Found() bool { return i.found }

// Served says whether the Start that gave the instance waited for the server to be ready.
func (i *instance) Served() bool { return i.served }

// Dial connects to the server's socket, which nothing in the jail can replace.
func (i *instance) Dial(ctx context.Context) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		code := sandbox.Unavailable
		if ctx.Err() != nil {
			code = sandbox.Canceled
		}
		return nil, failed("jail.Dial", i.label.ID, coded{code, err})
	}
	path, done, err := i.home.socket(serverSocket)
	if err != nil {
		return fail(err)
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return fail(err)
	}
	return conn, nil
}

// Wait returns how the server ended.
func (i *instance) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-i.process.Done(): // first, so that an end long past is told to one whose ctx has ended too
	default:
		select {
		case <-i.process.Done():
		case <-ctx.Done():
			return sandbox.Exit{}, failed("jail.Wait", i.label.ID, coded{sandbox.Canceled, context.Cause(ctx)})
		}
	}
	exit, ok := i.process.Ended()
	if !ok {
		return sandbox.Exit{}, failed("jail.Wait", i.label.ID, held.ErrClosed)
	}
	return told(exit), nil
}

func told(e held.Exit) sandbox.Exit {
	if !e.Known {
		return sandbox.Exit{Code: -1, Reason: "ended; how, only the process that started it could have seen"}
	}
	return sandbox.Exit{Code: e.Code, Signal: e.Signal, Memory: e.Memory}
}

// Stop ends the sandbox for good.
func (i *instance) Stop(ctx context.Context, grace time.Duration) error {
	return i.end(ctx, "jail.Stop", grace, (*Driver).remove)
}

// Halt ends all processes of the sandbox by force, and keeps the rest.
func (i *instance) Halt(ctx context.Context) error {
	return i.end(ctx, "jail.Halt", 0, (*Driver).halt)
}

func (i *instance) end(ctx context.Context, op string, grace time.Duration, after func(*Driver, context.Context, home) error) error {
	if err := i.d.end(ctx, i.home, i, 0, grace, after); err != nil {
		return failed(op, i.label.ID, err)
	}
	return nil
}

// Relabel raises the epoch in the label.
func (i *instance) Relabel(ctx context.Context, epoch uint64) error {
	err := i.relabel(ctx, func(l *label) (bool, error) {
		if l.Epoch > epoch {
			return false, l.fenced(epoch)
		}
		i.d.raise(i.process, epoch)
		changed := l.Epoch < epoch
		l.Epoch = epoch
		return changed, nil
	})
	if err != nil {
		return failed("jail.Relabel", i.label.ID, err)
	}
	i.epoch.Store(epoch)
	if err := i.d.thaw(ctx, i.label); err != nil { // whoever had it before may have paused it once more
		return failed("jail.Relabel", i.label.ID, err)
	}
	i.letOut(ctx)
	return nil
}

// letOut opens a way out, if there is none or another process had taken it over. Without one the sandbox is none the worse.
func (i *instance) letOut(ctx context.Context) {
	l, err := i.home.read()
	if err == nil {
		err = i.d.letOut(ctx, i.home, l, i.process)
		i.d.hear(ctx, i.home, l, i.process)
	}
	if err != nil && i.process.Alive() {
		i.d.log.Warn("the programs of a sandbox cannot get out", "id", i.label.ID, "err", err)
	}
}

// relabel changes the label, under the home's lock, if change says that there is something to change.
func (i *instance) relabel(ctx context.Context, change func(*label) (changed bool, err error)) error {
	unlock, err := i.d.lock(ctx, i.home, false)
	if errors.Is(err, fs.ErrNotExist) {
		return errRemoved
	} else if err != nil {
		return err
	}
	defer unlock()
	l, err := i.home.read()
	switch {
	case err != nil:
		return err
	case l.Mark != i.label.Mark:
		return errRemoved
	}
	if changed, err := change(&l); err != nil || !changed {
		return err
	}
	return i.home.write(l)
}
