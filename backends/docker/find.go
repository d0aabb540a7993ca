package docker

import (
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// sandboxd finds the server's program.
func (d *Driver) sandboxd() (string, error) {
	path, err := backends.FindServer("docker", d.config.Sandboxd)
	if err != nil {
		return "", coded{sandbox.Invalid, err}
	}
	return path, nil
}
