package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sandtree/sandtree/sandbox"
)

// sandboxd finds the server's program. It is looked for at each start, since it may be put there while we run.
func (d *Driver) sandboxd() (string, error) {
	const name = "sandboxd"
	missing := func(where string) error {
		return coded{sandbox.Invalid, fmt.Errorf("%s, the server that runs inside a sandbox, is not %s: build it with `make build`, or "+
			"say where it is with backends.docker.sandboxd (SANDTREE_BACKENDS_DOCKER_SANDBOXD)", name, where)}
	}
	if path := d.config.Sandboxd; path != "" {
		if !executable(path) {
			return "", missing("at " + path)
		}
		return filepath.Abs(path)
	}
	self, err := os.Executable()
	if err == nil {
		if path := filepath.Join(filepath.Dir(self), name); executable(path) {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	return "", missing("beside " + self + " nor on PATH")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
