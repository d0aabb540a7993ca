package jail

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Pause stops all processes of the sandbox where they are.
func (i *instance) Pause(ctx context.Context) error { return i.freeze(ctx, "jail.Pause", true) }

// Resume lets them go on.
func (i *instance) Resume(ctx context.Context) error { return i.freeze(ctx, "jail.Resume", false) }

func (i *instance) freeze(ctx context.Context, op string, frozen bool) error {
	err := i.d.group(i.label).Freeze(ctx, frozen)
	switch {
	case !i.process.Alive():
		err = held.ErrEnded
	case errors.Is(err, unix.ENOTSUP):
		err = coded{sandbox.Unsupported, errors.New("there are no control groups with a freezer that this user may make: start sandtree as root")}
	case errors.Is(err, os.ErrNotExist):
		err = errRemoved
	}
	if err != nil {
		return failed(op, i.label.ID, err)
	}
	return nil
}
