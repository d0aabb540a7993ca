package homes

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// Remove stops the sandbox and removes it, also if its server is dead. No such sandbox is no error.
func (e *Homes[L]) Remove(ctx context.Context, id sandbox.ID, epoch uint64, grace time.Duration) error {
	if err := id.Check(); err != nil {
		return err
	}
	if err := e.end(ctx, e.Home(id), nil, epoch, grace, e.remove); err != nil {
		return e.Failed("Remove", id, err)
	}
	return nil
}

// end ends what runs in a sandbox and then calls after, under the lock. If i is set and the home has another mark, it is
// not the sandbox that is meant, which is gone already; if it has a higher epoch (without i, than epoch), whoever asks has
// been replaced, and what runs there is another's. When ctx ends so does the grace; the rest has its own time.
func (e *Homes[L]) end(ctx context.Context, h Home, i *Instance[L], epoch uint64, grace time.Duration, after func(context.Context, Home) error) error {
	unlock, err := e.LockHome(ctx, h, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer unlock()
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, grace)+2*reap.Patience)
	defer cancel()
	l := new(L)
	err = h.Read(l)
	c := e.kind.Common(l)
	if i != nil {
		epoch = i.Epoch()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // its start was cut off before it had anything
		return after(cleanup, h)
	case err != nil:
		return err
	case i != nil && c.Mark != i.mark():
		return nil
	case c.Epoch > epoch:
		return c.fenced(epoch)
	}
	p, err := e.Server(h)
	if err == nil {
		err = e.Thaw(cleanup, c)
		if err == nil {
			err = e.stop(ctx, cleanup, p, grace)
		}
	}
	if err != nil && !errors.Is(err, held.ErrEnded) {
		return err
	}
	return after(cleanup, h)
}

// stop asks the server to end, which ends all that it has started. If the grace is not enough it is killed. Where it is the first of
// its process namespace the kernel kills all the others first; else its descendants are killed before it: once it is dead, nobody
// can tell whose they were.
func (e *Homes[L]) stop(ctx, cleanup context.Context, p *held.Process, grace time.Duration) error {
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
	return e.Kill(cleanup, p)
}

// Kill ends a server by force, and returns when it has ended.
func (e *Homes[L]) Kill(ctx context.Context, p *held.Process) error {
	if e.kind.Disperse != nil {
		if err := e.kind.Disperse(ctx, p); err != nil {
			return err
		}
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return gone(p)
	case <-ctx.Done():
		return Coded(sandbox.Unavailable, errors.New(e.kind.First+" was killed and does not end"))
	}
}

// gone tells, once the watching has ended, whether that is because the process has.
func gone(p *held.Process) error {
	if _, ok := p.Ended(); !ok {
		return held.ErrClosed
	}
	return nil
}

// sweep kills what is left of a sandbox whose server is dead.
func (e *Homes[L]) sweep(ctx context.Context, h Home, l *L) error {
	if e.kind.Sweep == nil {
		return Sweep(ctx, e.kind.Common(l))
	}
	return e.kind.Sweep(ctx, h, l)
}

// halt leaves a home without processes.
func (e *Homes[L]) halt(ctx context.Context, h Home) error {
	l := new(L)
	err := h.Read(l)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return e.sweep(ctx, h, l)
}

// remove leaves nothing of a sandbox but a named workspace.
func (e *Homes[L]) remove(ctx context.Context, h Home) error {
	l := new(L)
	err := h.Read(l)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return e.Clear(ctx, h, l)
}

// Clear does it, under the home's lock; l is its label, or zero if it has none yet.
func (e *Homes[L]) Clear(ctx context.Context, h Home, l *L) error {
	if e.kind.Common(l).Mark != "" {
		if err := e.sweep(ctx, h, l); err != nil {
			return err
		}
	}
	// What is not in the home goes first: once the home has gone, nobody knows of it.
	if err := e.release(ctx, h, l); err != nil {
		return err
	}
	// By one step the sandbox is no more; what is slow comes after it, and can be taken up again by another process.
	gone := filepath.Join(e.dir, gonePrefix+sandbox.RandomHex(8))
	if err := os.Rename(string(h), gone); err != nil {
		return err
	}
	if err := held.RemoveTree(gone); err != nil {
		return err
	}
	if e.kind.Removed != nil {
		e.kind.Removed(ctx)
	}
	return nil
}

// release removes what a sandbox has outside of its home.
func (e *Homes[L]) release(ctx context.Context, h Home, l *L) error {
	if e.kind.Release != nil {
		return e.kind.Release(ctx, h, l)
	}
	c := e.kind.Common(l)
	if err := Ungroup(ctx, c); err != nil {
		return err
	}
	return e.disclaim(c)
}
