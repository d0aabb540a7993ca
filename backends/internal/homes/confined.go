package homes

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Confined is an instance of a driver whose Kind is: it can be paused, and its programs get out by a policy.
type Confined[L any] struct{ *Instance[L] }

var (
	_ backends.Pauser   = Confined[Label]{}
	_ backends.Filtered = Confined[Label]{}
)

// Pause stops all processes of the sandbox where they are.
func (i Confined[L]) Pause(ctx context.Context) error { return i.freeze(ctx, "Pause", true) }

// Resume lets them go on.
func (i Confined[L]) Resume(ctx context.Context) error { return i.freeze(ctx, "Resume", false) }

func (i Confined[L]) freeze(ctx context.Context, op string, frozen bool) error {
	err := i.relabel(ctx, func(l *Label) (bool, error) { // nothing changes there; nobody takes it over meanwhile
		if err := l.Fenced(i.Epoch()); err != nil {
			return false, err
		}
		return false, Group(i.homes.kind.Common(&i.Label)).Freeze(ctx, frozen)
	})
	switch {
	case !i.Process.Alive():
		err = held.ErrEnded
	case errors.Is(err, unix.ENOTSUP):
		err = ErrNoFreezer
	case errors.Is(err, os.ErrNotExist):
		err = ErrRemoved
	}
	if err != nil {
		return i.failed(op, err)
	}
	return nil
}

// ErrNoFreezer says why nothing can be paused. Code: Unsupported.
var ErrNoFreezer = Coded(sandbox.Unsupported, errors.New("there are no control groups with a freezer that this user may make: start sandtree as root"))

// CanPause says whether confined sandboxes can be paused here. Code: Unsupported.
func CanPause() error {
	if !Tree().Has(cgroup.Freezer) {
		return ErrNoFreezer
	}
	return nil
}

// SetEgress changes what programs in the sandbox may connect to.
func (i Confined[L]) SetEgress(ctx context.Context, policy sandbox.Egress) error {
	if i.homes.kind.Doors == nil {
		return i.failed("SetEgress", Coded(sandbox.Unsupported, i.homes.kind.NoDoors))
	}
	err := i.relabel(ctx, func(l *Label) (bool, error) {
		if err := l.Fenced(i.Epoch()); err != nil {
			return false, err
		}
		l.Egress = policy
		return true, nil
	})
	if err == nil {
		err = i.homes.LetOut(ctx, i.Home, i.homes.kind.Common(&i.Label), i.Process)
	}
	if err == nil {
		err = i.homes.setPolicy(i.Process, policy)
	}
	if err != nil {
		return i.failed("SetEgress", err)
	}
	return nil
}

// Traffic is what has gone through this process.
func (i Confined[L]) Traffic() sandbox.Traffic {
	i.homes.mu.Lock()
	w := i.homes.ways[i.Process.Identity]
	i.homes.mu.Unlock()
	if w == nil {
		return sandbox.Traffic{}
	}
	if p := w.proxy.Load(); p != nil {
		return p.Traffic()
	}
	return sandbox.Traffic{}
}
