package gvisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/stage"
	"github.com/sandtree/sandtree/sandbox"
)

// openTree gives a mount of a directory that is nowhere yet, with all that is mounted below it. With noLinks a link on the way
// to it is Denied.
func openTree(dir string, noLinks bool) (*os.File, error) {
	fd, err := stage.OpenTree(dir, noLinks)
	if noLinks && errors.Is(err, unix.ELOOP) {
		return nil, leadsAway(dir)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: dir, Err: err}
	}
	tree := os.NewFile(uintptr(fd), dir)
	// Where the host shares its mounts, as systemd has them, this would be a peer of that one, and what is mounted on it
	// would come to be on the host.
	private := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &private); err != nil {
		tree.Close()
		return nil, &os.PathError{Op: "mount_setattr", Path: dir, Err: err}
	}
	return tree, nil
}

func leadsAway(dir string) error {
	return homes.Coded(sandbox.Denied, fmt.Errorf("on the way to %s, where the workspace was when the sandbox was new, is a link now, "+
		"which may lead anywhere: put the directory back, or remove the sandbox and start another", dir))
}

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

// mapTree shows the files of a tree as those of others. Code: Unsupported.
func mapTree(tree *os.File, dir string, uids, gids []syscall.SysProcIDMap, program string) error {
	ns, err := mapping(program, uids, gids)
	if err != nil {
		return err
	}
	defer ns.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("the file system of %s cannot show its files as another user's (%w): "+
			"take a directory on ext4, xfs, btrfs or tmpfs, or leave the workspace to the sandbox", dir, err))
	}
	return os.NewSyscallError("mount_setattr", err)
}

// mapping makes a user namespace for nothing but its mapping. There must be a process to make one; it is killed before it
// does anything.
func mapping(program string, uids, gids []syscall.SysProcIDMap) (*os.File, error) {
	r, w, err := os.Pipe() // it would wait for its end
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd := exec.Command(program)
	cmd.Args = []string{"sandboxd", "stage"}
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids, Setsid: true}
	err = cmd.Start()
	r.Close()
	if err != nil {
		return nil, fmt.Errorf("a user namespace: %w", err)
	}
	ns, err := os.Open(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "ns/user"))
	return ns, errors.Join(err, cmd.Process.Kill(), ignore(cmd.Wait()))
}

// ignore is for the end of what was killed.
func ignore(error) error { return nil }
