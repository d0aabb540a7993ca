package jail

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Pause stops all processes of the sandbox where they are.
func (i *instance) Pause(ctx context.Context) error { return i.freeze(ctx, "jail.Pause", true) }

// Resume lets them go on.
func (i *instance) Resume(ctx context.Context) error { return i.freeze(ctx, "jail.Resume", false) }

func (i *instance) freeze(ctx context.Context, op string, frozen bool) error {
	err := i.relabel(ctx, func(l *label) (bool, error) { // nothing changes there; nobody takes it over meanwhile
		if l.Epoch > i.epoch.Load() {
			return false, l.fenced(i.epoch.Load())
		}
		return false, i.d.group(i.label).Freeze(ctx, frozen)
	})
	switch {
	case !i.process.Alive():
		err = held.ErrEnded
	case errors.Is(err, unix.ENOTSUP):
		err = coded{sandbox.Unsupported, errNoFreezer}
	case errors.Is(err, os.ErrNotExist):
		err = errRemoved
	}
	if err != nil {
		return failed(op, i.label.ID, err)
	}
	return nil
}

var errNoFreezer = errors.New("there are no control groups with a freezer that this user may make: start sandtree as root")

// CanPause says whether sandboxes can be paused here. Code: Unsupported.
func (d *Driver) CanPause() error {
	if !d.tree().Has(cgroup.Freezer) {
		return coded{sandbox.Unsupported, errNoFreezer}
	}
	return nil
}

// CanHalt says whether a sandbox of spec keeps its files when it is halted, or nobody minds. Code: Unsupported.
func (d *Driver) CanHalt(sandbox.Spec) error {
	if d.inMemory() && !d.config.Forget {
		return coded{sandbox.Unsupported, errors.New(`its files are in memory and would be gone (backends.jail.forget = true says that they may)`)}
	}
	return nil
}
