package gvisor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
)

// mapOwner shows the files of the workspace's owner as the sandbox's user's, and what the sandbox's user makes is the owner's on
// the host. Files of others are nobody's in the sandbox. Code: Unsupported.
func (d *Driver) mapOwner(tree *os.File, l *label, program string) error {
	var info unix.Stat_t
	if err := unix.Fstat(int(tree.Fd()), &info); err != nil {
		return &os.PathError{Op: "stat", Path: l.Workspace, Err: err}
	}
	inside := int(l.FirstID) + d.user().ID
	return mapTree(tree, l.Workspace, owned(l, int(info.Uid), inside), owned(l, int(info.Gid), inside), program)
}

// owned maps the owner of a workspace to a user of the sandbox, by the machine's numbers. gVisor makes each file as the
// sandbox's root, and gives it to its owner at once: so that one has to be somebody too, and is himself.
func owned(l *label, owner, inside int) []syscall.SysProcIDMap {
	all := homes.MapOne(owner, inside)
	if root := int(l.FirstID); root != inside && root != owner {
		all = append(all, homes.MapOne(root, root)...)
	}
	return all
}

// mapTree shows the files of a tree as those of others, with the server's program. Code: Unsupported.
func mapTree(tree *os.File, dir string, uids, gids []syscall.SysProcIDMap, program string) error {
	return homes.MapTree(tree, dir, uids, gids, homes.Server{Path: program}, "leave the workspace to the sandbox")
}
