package local

import (
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// sandboxd finds the server's program.
func (d *Driver) sandboxd() (string, error) {
	path, err := backends.FindServer("local", d.config.Sandboxd)
	if err != nil {
		return "", homes.Coded(sandbox.Invalid, err)
	}
	return path, nil
}
