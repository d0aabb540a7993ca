package homes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/stage"
	"github.com/sandtree/sandtree/sandbox"
)

// OpenTree gives a mount of a directory that is nowhere yet, with all that is mounted below it. With noLinks a link on the way
// to it is Denied.
func OpenTree(dir string, noLinks bool) (*os.File, error) {
	fd, err := stage.OpenTree(dir, noLinks)
	if noLinks && errors.Is(err, unix.ELOOP) {
		return nil, LeadsAway(dir)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: dir, Err: err}
	}
	tree := os.NewFile(uintptr(fd), dir)
	// Where the host shares its mounts, as systemd has them, this would be a peer of that one, and what the sandbox mounts on it
	// would come to be on the host.
	private := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &private); err != nil {
		tree.Close()
		return nil, &os.PathError{Op: "mount_setattr", Path: dir, Err: err}
	}
	return tree, nil
}

// LeadsAway says that a link is on the way to a named workspace now.
func LeadsAway(dir string) error {
	return Coded(sandbox.Denied, fmt.Errorf("on the way to %s, where the workspace was when the sandbox was new, is a link now, "+
		"which may lead anywhere: put the directory back, or remove the sandbox and start another", dir))
}

// A Server is the server's program, executed by its path or, where File is not nil, from that.
type Server struct {
	Path string
	File *os.File
}

// MapTree shows the files of a tree as those of others; instead is what to do where the file system of dir, on which it is, cannot. Code:
// Unsupported.
func MapTree(tree *os.File, dir string, uids, gids []syscall.SysProcIDMap, program Server, instead string) error {
	ns, err := mapping(program, uids, gids)
	if err != nil {
		return err
	}
	defer ns.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return Coded(sandbox.Unsupported, fmt.Errorf("the file system of %s cannot show its files as another user's (%w): "+
			"take a directory on ext4, xfs, btrfs or tmpfs, or %s", dir, err, instead))
	}
	return os.NewSyscallError("mount_setattr", err)
}

// mapping makes a user namespace for nothing but its mapping. There must be a process to make one; it is killed before it
// does anything.
func mapping(program Server, uids, gids []syscall.SysProcIDMap) (*os.File, error) {
	ours, theirs, err := stage.Pair() // it would wait for its end
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	cmd := exec.Command(program.Path)
	cmd.ExtraFiles = []*os.File{theirs}
	if program.File != nil {
		cmd.Path = "/proc/self/fd/" + strconv.Itoa(stage.SpecFD+1)
		cmd.ExtraFiles = append(cmd.ExtraFiles, program.File)
	}
	cmd.Args = []string{"sandboxd", "stage"}
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids, Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("a user namespace: %w", err)
	}
	ns, err := os.Open(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "ns/user"))
	return ns, errors.Join(err, cmd.Process.Kill(), ignore(cmd.Wait()))
}

// ignore is for the end of what was killed.
func ignore(error) error { return nil }
