package docker

import (
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Rester = (*Driver)(nil)

// CanPause says that every engine can pause a container.
func (d *Driver) CanPause() error { return nil }

// CanHalt says whether a sandbox of spec keeps its files when it is halted: its container is kept, and its directories are
// the host's or volumes.
func (d *Driver) CanHalt(sandbox.Spec) error { return nil }
