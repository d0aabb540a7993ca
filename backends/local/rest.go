package local

import (
	"errors"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Rester = (*Driver)(nil)

// CanPause says that plain processes have nothing to be paused by all at once. Code: Unsupported.
func (d *Driver) CanPause() error {
	return &sandbox.Error{Code: sandbox.Unsupported, Err: errors.New("it cannot pause plain processes; jail and docker can")}
}

// CanHalt says that a sandbox keeps its files when it is halted: they are the host's.
func (d *Driver) CanHalt(sandbox.Spec) error { return nil }
