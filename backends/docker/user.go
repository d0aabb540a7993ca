package docker

import (
	"fmt"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// user is who programs run as, so that the files of a workspace that belongs to somebody stay theirs. It is never the host's
// root unless the configuration says so. Code: Invalid.
func (d *Driver) user(l label) (uid, gid int, err error) {
	if uid, gid, _ := d.config.user(); uid >= 0 {
		return uid, gid, nil
	}
	if d.option("rootless") {
		return 0, 0, nil // is, outside, whoever runs the engine; every other number there is nobody's
	}
	if euid := os.Geteuid(); euid != 0 {
		return euid, os.Getegid(), nil
	}
	if !l.Named || !d.config.shared() {
		return defaultUser, defaultUser, nil
	}
	info, err := os.Stat(l.Workspace)
	if err != nil {
		return 0, 0, coded{sandbox.Invalid, fmt.Errorf("workspace: %w", err)}
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && s.Uid != 0:
		return int(s.Uid), int(s.Gid), nil
	case info.Mode().Perm()&0o003 == 0o003: // anybody may work there
		return defaultUser, defaultUser, nil
	}
	return 0, 0, coded{sandbox.Invalid, fmt.Errorf("workspace: %s belongs to root, as whom no program runs unless it is asked for: "+
		"give it to another user (chown %d), or set backends.docker.user to \"0\"", l.Workspace, defaultUser)}
}
