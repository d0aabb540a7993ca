package docker

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// checkShown refuses to mount what is a door to this machine or to other sandboxes: as backends.CheckShown, and the socket
// of this very engine, wherever it is. Code: Invalid.
func (c Config) checkShown(field, path string) error {
	if err := backends.CheckShown(field, path, c.StateDir); err != nil {
		return err
	}
	socket, isPath := strings.CutPrefix(c.Host, "unix://")
	if !isPath {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil // the engine will say so
	}
	if socket, err = filepath.EvalSymlinks(socket); err == nil && (real == "/" || socket == real || strings.HasPrefix(socket, real+"/")) {
		return &sandbox.Error{Code: sandbox.Invalid, Op: field, Err: fmt.Errorf("%s: the engine's socket %s is in it: who can use that is outside of any sandbox", path, socket)}
	}
	return nil
}
