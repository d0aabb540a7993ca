package homes

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

// Instance is one sandbox and the server that it had when the instance was got.
type Instance[L any] struct {
	Home    Home
	Label   L
	Process *held.Process

	homes  *Homes[L]
	epoch  atomic.Uint64 // that it was got for, or raised to
	key    string
	fresh  bool
	found  bool
	served bool
}

var (
	_ backends.Instance = (*Instance[Label])(nil)
	_ backends.Keyed    = (*Instance[Label])(nil)
	_ backends.Fresh    = (*Instance[Label])(nil)
	_ backends.Found    = (*Instance[Label])(nil)
	_ backends.Served   = (*Instance[Label])(nil)
	_ backends.Halter   = (*Instance[Label])(nil)
	_ backends.Labeler  = (*Instance[Label])(nil)
)

// newInstance gives one of a sandbox that was there.
func (e *Homes[L]) newInstance(h Home, l *L, p *held.Process, key string) *Instance[L] {
	i := &Instance[L]{homes: e, Home: h, Label: *l, Process: p, key: key}
	i.epoch.Store(e.kind.Common(&i.Label).Epoch)
	return i
}

// Placed gives one of a sandbox whose server has just been started, and serves; anew says that nothing is left of any before it.
func (e *Homes[L]) Placed(h Home, l *L, p *held.Process, key string, anew bool) *Instance[L] {
	i := e.newInstance(h, l, p, key)
	i.served, i.fresh = true, anew
	return i
}

// ID is the sandbox's.
func (i *Instance[L]) ID() sandbox.ID { return i.homes.kind.Common(&i.Label).ID }

// Epoch is what it was got for, or raised to.
func (i *Instance[L]) Epoch() uint64 { return i.epoch.Load() }

func (i *Instance[L]) mark() string { return i.homes.kind.Common(&i.Label).Mark }

// Key is what the server asks for.
func (i *Instance[L]) Key() string { return i.key }

// Fresh says whether the Start that gave the instance made the sandbox.
func (i *Instance[L]) Fresh() bool { return i.fresh }

// Found says whether the Start that gave the instance found its server alive.
func (i *Instance[L]) Found() bool { return i.found }

// Served says whether the Start that gave the instance waited for the server to be ready.
func (i *Instance[L]) Served() bool { return i.served }

func (i *Instance[L]) failed(op string, err error) error { return i.homes.Failed(op, i.ID(), err) }

// Dial connects to the server.
func (i *Instance[L]) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := i.homes.kind.Dial(ctx, i.Home, &i.Label)
	if err != nil {
		code := sandbox.Unavailable
		if ctx.Err() != nil {
			code = sandbox.Canceled
		}
		return nil, i.failed("Dial", Coded(code, err))
	}
	return conn, nil
}

// Wait returns how the server ended.
func (i *Instance[L]) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-i.Process.Done(): // first, so that an end long past is told to one whose ctx has ended too
	default:
		select {
		case <-i.Process.Done():
		case <-ctx.Done():
			return sandbox.Exit{}, i.failed("Wait", Coded(sandbox.Canceled, context.Cause(ctx)))
		}
	}
	exit, ok := i.Process.Ended()
	if !ok {
		return sandbox.Exit{}, i.failed("Wait", held.ErrClosed)
	}
	return i.homes.kind.Told(exit), nil
}

// Told is how a server ended that is the process itself.
func Told(e held.Exit) sandbox.Exit {
	if !e.Known {
		return sandbox.Exit{Code: -1, Reason: "ended; how, only the process that started it could have seen"}
	}
	return sandbox.Exit{Code: e.Code, Signal: e.Signal, Memory: e.Memory}
}

// Stop ends the sandbox for good.
func (i *Instance[L]) Stop(ctx context.Context, grace time.Duration) error {
	return i.end(ctx, "Stop", grace, i.homes.remove)
}

// Halt ends all processes of the sandbox by force, and keeps the rest.
func (i *Instance[L]) Halt(ctx context.Context) error { return i.end(ctx, "Halt", 0, i.homes.halt) }

func (i *Instance[L]) end(ctx context.Context, op string, grace time.Duration, after func(context.Context, Home) error) error {
	if err := i.homes.end(ctx, i.Home, i, 0, grace, after); err != nil {
		return i.failed(op, err)
	}
	return nil
}

// Relabel raises the epoch in the label.
func (i *Instance[L]) Relabel(ctx context.Context, epoch uint64) error {
	err := i.relabel(ctx, func(l *Label) (bool, error) {
		if err := l.Fenced(epoch); err != nil {
			return false, err
		}
		i.homes.raise(i.Process, epoch)
		changed := l.Epoch < epoch
		l.Epoch = epoch
		return changed, nil
	})
	if err != nil {
		return i.failed("Relabel", err)
	}
	i.epoch.Store(epoch)
	if err := i.homes.Thaw(ctx, i.homes.kind.Common(&i.Label)); err != nil { // whoever had it before may have paused it once more
		return i.failed("Relabel", err)
	}
	i.letOut(ctx)
	return nil
}

// letOut opens a way out, if there is none or another process had taken it over. Without one the sandbox is none the worse.
func (i *Instance[L]) letOut(ctx context.Context) {
	if i.homes.kind.Doors == nil && i.homes.kind.Hear == nil {
		return
	}
	l := new(L)
	err := i.Home.Read(l)
	if err == nil {
		err = i.homes.LetOut(ctx, i.Home, i.homes.kind.Common(l), i.Process)
		i.homes.hear(ctx, i.Home, l, i.Process)
	}
	if err != nil && i.Process.Alive() {
		i.homes.log.Warn("the programs of a sandbox cannot get out", "id", i.ID(), "err", err)
	}
}

// relabel changes the label, under the home's lock, if change says that there is something to change.
func (i *Instance[L]) relabel(ctx context.Context, change func(*Label) (changed bool, err error)) error {
	unlock, l, err := i.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if changed, err := change(i.homes.kind.Common(l)); err != nil || !changed {
		return err
	}
	return i.Home.Write(l)
}

// lock gets the lock of the home, if it is still this sandbox's, and its label.
func (i *Instance[L]) lock(ctx context.Context) (unlock func(), l *L, err error) {
	unlock, err = i.homes.LockHome(ctx, i.Home, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, l, ErrRemoved
	} else if err != nil {
		return nil, l, err
	}
	l = new(L)
	if err = i.Home.Read(l); err == nil && i.homes.kind.Common(l).Mark != i.mark() {
		err = ErrRemoved
	}
	if err != nil {
		unlock()
		return nil, l, err
	}
	return unlock, l, nil
}

// LockLiving gets the lock of the home of a sandbox that lives and is nobody else's by now, and its label.
func (i *Instance[L]) LockLiving(ctx context.Context) (unlock func(), l *L, err error) {
	unlock, l, err = i.lock(ctx)
	if err != nil {
		return nil, l, err
	}
	if err = i.homes.kind.Common(l).Fenced(i.Epoch()); err == nil && !i.Process.Alive() {
		err = held.ErrEnded
	}
	if err != nil {
		unlock()
		return nil, l, err
	}
	return unlock, l, nil
}
