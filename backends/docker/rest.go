package docker

import (
	"errors"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Rester = (*Driver)(nil)

// CanPause says that every engine can pause a container.
func (d *Driver) CanPause() error { return nil }

// CanHalt says whether a sandbox of spec keeps its files when it is halted, or nobody minds: its container is kept, and its
// directories are the host's or volumes. Code: Unsupported.
func (d *Driver) CanHalt(sandbox.Spec) error {
	if d.config.Storage == storageMemory && !d.config.Forget {
		return coded{sandbox.Unsupported, errors.New("its files are in memory and would be gone (backends.docker.forget = true says that they may)")}
	}
	return nil
}
