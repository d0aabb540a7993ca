package gvisor

import (
	"errors"
	"fmt"
	"os"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// programs are what a sandbox is started with.
type binaries struct{ sandboxd, companion string }

// binaries finds them, at each start, since they may be put there while we run. Codes: Invalid, Unsupported.
func (d *Driver) binaries() (b binaries, err error) {
	if os.Geteuid() != 0 {
		return b, homes.Coded(sandbox.Unsupported, errors.New("only root can place sandboxes in gVisor, each with user numbers of its own: "+
			"start sandtree as root, or set backend to \"jail\""))
	}
	if b.companion, err = findCompanion(d.config.Companion); err != nil {
		return b, homes.Coded(sandbox.Unsupported, err)
	}
	if b.sandboxd, err = backends.FindServer("gvisor", d.config.Sandboxd); err != nil {
		return b, homes.Coded(sandbox.Invalid, err)
	}
	return b, nil
}

// findCompanion finds sandtree-gvisor.
func findCompanion(configured string) (string, error) {
	const name = "sandtree-gvisor"
	return backends.FindProgram(name, configured, func(where string) error {
		return fmt.Errorf("%s, the program with gVisor in it, is not %s: build it with `make gvisor`, or say where it is with "+
			"backends.gvisor.companion (SANDTREE_BACKENDS_GVISOR_COMPANION)", name, where)
	})
}
