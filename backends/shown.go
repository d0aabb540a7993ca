package backends

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// engineSockets are those at which whoever connects is root of this machine.
var engineSockets = []string{"/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/crio/crio.sock"}

// CheckShown refuses to show programs in a sandbox a file or directory of the host that would be a door to this machine or to
// other sandboxes: a socket, a directory with an engine's, and the state directory, what is in it and what it is in, where the
// keys of all sandboxes are. Links are followed. A path that is not there is left to whoever shows it. Code: Invalid, with field
// as what it is about.
func CheckShown(field, path, stateDir string) error {
	if err := shown(path, stateDir); err != nil {
		return &sandbox.Error{Code: sandbox.Invalid, Op: field, Err: fmt.Errorf("%s: %w", path, err)}
	}
	return nil
}

func shown(path, stateDir string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil // an engine may be on another machine; where it is not, it will say so
	}
	if info, err := os.Stat(real); err == nil && info.Mode()&fs.ModeSocket != 0 {
		return errors.New("a socket of the host is never shown to a sandbox: who can use it is outside")
	}
	for _, socket := range engineSockets {
		if socket, err := filepath.EvalSymlinks(socket); err == nil && within(socket, real) {
			return fmt.Errorf("%s is in it: who can use that is outside of any sandbox", socket)
		}
	}
	state, err := filepath.Abs(stateDir)
	if err == nil {
		if at, err := filepath.EvalSymlinks(state); err == nil { // else there is nothing in it
			state = at
		}
	}
	switch {
	case err != nil || stateDir == "":
		return err
	case within(state, real):
		return fmt.Errorf("the state directory %s is in it, with the keys of all sandboxes: show another directory, or set state_dir outside of it", state)
	case within(real, state):
		return fmt.Errorf("it is in the state directory %s, with the keys of all sandboxes: show another directory", state)
	}
	return nil
}

// within says whether a clean path is dir or below it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}
