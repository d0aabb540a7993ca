package gvisor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// gonePrefix begins the name of a home that is being removed; no id begins with a dot.
const gonePrefix = ".gone-"

// Remove stops the sandbox and removes it, also if its server is dead. No such sandbox is no error.
func (d *Driver) Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	if err := id.Check(); err != nil {
		return err
	}
	if err := d.end(ctx, d.home(id), nil, epoch, grace, (*Driver).remove); err != nil {
		return failed("gvisor.Remove", id, err)
	}
	return nil
}

// end ends what runs in a sandbox and then calls after, under the lock. If i is set and the home has another mark, it is
// not the sandbox that is meant, which is gone already; if it has a higher epoch (without i, than epoch), whoever asks has
// been replaced, and what runs there is another's. When ctx ends so does the grace; the rest has its own time.
func (d *Driver) end(ctx context.Context, h home, i *instance, epoch uint64, grace time.Duration, after func(*Driver, context.Context, home) error) error {
	unlock, err := d.lock(ctx, h, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer unlock()
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, grace)+2*reap.Patience)
	defer cancel()
	l, err := h.read()
	switch {
	case errors.Is(err, fs.ErrNotExist): // its start was cut off before it had anything
		return after(d, cleanup, h)
	case err != nil:
		return err
	case i != nil && l.Mark != i.label.Mark:
		return nil
	case i != nil && l.Epoch > i.epoch.Load():
		return l.fenced(i.epoch.Load())
	case i == nil && l.Epoch > epoch:
		return l.fenced(epoch)
	}
	p, err := d.server(h)
	if err == nil {
		err = d.thaw(cleanup, l)
		if err == nil {
			err = stop(ctx, cleanup, p, grace)
		}
	}
	if err != nil && !errors.Is(err, held.ErrEnded) {
		return err
	}
	return after(d, cleanup, h)
}

// stop asks the server to end, by its companion, which ends all that it has started. If the grace is not enough the companion
// is killed, and since it is the first of its process namespace the kernel kills all that gVisor is made of first.
func stop(ctx, cleanup context.Context, p *held.Process, grace time.Duration) error {
	if grace > 0 && ctx.Err() == nil {
		if err := p.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.Done():
			return gone(p)
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return gone(p)
	case <-cleanup.Done():
		return coded{sandbox.Unavailable, errors.New("the companion was killed and does not end")}
	}
}

// gone tells, once the watching has ended, whether that is because the process has.
func gone(p *held.Process) error {
	if _, ok := p.Ended(); !ok {
		return held.ErrClosed
	}
	return nil
}

// sweep kills what is left of a sandbox whose server is dead. The kernel has done so already; what is looked for here is a
// companion whose maker died before it could note it, and which is about to find that nobody wants it.
func (d *Driver) sweep(ctx context.Context, l label) error {
	_, err := reap.KillCgroup(ctx, d.group(l).Dir(cgroup.PIDs))
	return err
}

// halt leaves a home without processes.
func (d *Driver) halt(ctx context.Context, h home) error {
	l, err := h.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return d.sweep(ctx, l)
}

// remove leaves nothing of a sandbox but a named workspace.
func (d *Driver) remove(ctx context.Context, h home) error {
	l, err := h.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.clear(ctx, h, l)
}

// clear does it; l is the home's label, or zero if it has none yet.
func (d *Driver) clear(ctx context.Context, h home, l label) error {
	if l.Mark != "" {
		if err := d.sweep(ctx, l); err != nil {
			return err
		}
	}
	// What is not in the home goes first: once the home has gone, nobody knows of it.
	if err := d.ungroup(ctx, l); err != nil {
		return err
	}
	if err := d.disclaim(l); err != nil {
		return err
	}
	// By one step the sandbox is no more; what is slow comes after it, and can be taken up again by another process.
	gone := filepath.Join(d.root, gonePrefix+sandbox.RandomHex(8))
	if err := os.Rename(string(h), gone); err != nil {
		return err
	}
	return held.RemoveTree(gone)
}

// exited says whether the sandbox of a home has no living server and nobody is about to start one.
func (h home) exited() bool {
	if id, ok := h.server(); ok {
		if held.Alive(id) {
			return false
		}
	}
	return !held.Locked(string(h))
}
